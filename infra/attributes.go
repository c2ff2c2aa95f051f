package infra

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// ImageBuilderAttributes describe an image builder that is deployed in another
// stack of the same account and region. They are that stack's outputs.
type ImageBuilderAttributes struct {
	StackName           *string    // required, unless there is a ParameterName
	ProjectName         *string    // required
	LogGroupName        *string    // required
	SourceBucketName    *string    // required
	CacheRepositoryName *string    // required
	RepositoryNames     *[]*string // default: none
	RepositoryPrefix    *string    // default: none
	ArmImage            *string    // default: none

	// RoleArn is the ARN of the builds' role. It is needed for granting the
	// role more.
	//
	// Default: none: Role returns nil, and grants to the builder have no
	// effect.
	RoleArn *string

	// EncryptionKeyArn is the ARN of the source bucket's key, if it has one.
	//
	// Default: none.
	EncryptionKeyArn *string

	// ParameterName is the name of the builder's parameter, which those who may
	// watch its builds may read.
	//
	// Default: none.
	ParameterName *string
}

// FromStackOutputs returns the image builder of another stack, given the
// stack's outputs, for example those that cdk deploy --outputs-file writes.
// stack is the stack's name. If the stack has several builders, it is the name,
// a dot and the builder's OutputPrefix. FromStackOutputs panics with an error
// that names every missing output.
func FromStackOutputs(scope constructs.Construct, id, stack *string, outputs map[string]string) IImageBuilder {
	attributes, err := attributesOf(or(stack, ""), outputs)
	must(err)
	return FromAttributes(scope, id, attributes)
}

// FromParameterName returns the image builder of another stack, given the
// ParameterName of its props. The name must be literal.
//
// The CDK reads the parameter during the synthesis, because its content
// determines the policies. The stack of scope therefore needs an Env with the
// builder's account and region, and whoever runs the CDK needs ssm:GetParameter
// there. The CDK keeps the content in cdk.context.json, which should be
// committed. After a deployment that changed the builder's repositories or
// names, remove it with cdk context --reset. Until the parameter is read, the
// builder has placeholders instead of its names, one repository among them.
func FromParameterName(scope constructs.Construct, id, name *string) IImageBuilder {
	must(checkText("FromParameterName", jsii.String(or(name, "")), parameterForm, parameterWords))
	text := awsssm.StringParameter_ValueFromLookup(scope, name, nil, nil)
	attributes, err := attributesIn(*name, *text, *awscdk.Stack_Of(scope).Account())
	must(err)
	return FromAttributes(scope, id, attributes)
}

// attributesIn parses the content of a parameter of the account, or the CDK's
// placeholder for a parameter that it has not read yet.
func attributesIn(name, text, account string) (*ImageBuilderAttributes, error) {
	if text == "dummy-value-for-"+name {
		return placeholders(name, account), nil
	}
	var outputs map[string]string
	if err := json.Unmarshal([]byte(text), &outputs); err != nil {
		return nil, fmt.Errorf("FromParameterName: %s holds %q, which is no image builder's: give the ParameterName of one", name, clip(text))
	}
	parsed, err := buildspec.ParseOutputs(outputs)
	if err != nil {
		return nil, fmt.Errorf("FromParameterName: %s: %w: deploy the builder again with this one, then forget what the CDK knows with cdk context --reset", name, err)
	}
	return attributesFrom("", parsed), nil
}

// placeholders returns attributes with which everything can be granted that can
// be granted to the real builder.
func placeholders(parameter, account string) *ImageBuilderAttributes {
	unknown := jsii.String("unknown")
	return &ImageBuilderAttributes{
		ProjectName: unknown, LogGroupName: unknown, SourceBucketName: unknown, CacheRepositoryName: unknown,
		RepositoryNames: jsii.Strings(*unknown),
		RoleArn:         jsii.String("arn:aws:iam::" + account + ":role/unknown"),
		ParameterName:   &parameter,
	}
}

func attributesOf(stack string, outputs map[string]string) (*ImageBuilderAttributes, error) {
	name, prefix, _ := strings.Cut(stack, ".")
	own, err := buildspec.OutputsOf(outputs, prefix)
	if err != nil {
		return nil, fmt.Errorf("FromStackOutputs: stack %q: %w: name one as %s.PREFIX", stack, err, name)
	}
	parsed, err := buildspec.ParseOutputs(own)
	if err != nil {
		return nil, fmt.Errorf("FromStackOutputs: stack %q: %w: deploy it again with this one", stack, err)
	}
	return attributesFrom(name, parsed), nil
}

func attributesFrom(stack string, parsed buildspec.Outputs) *ImageBuilderAttributes {
	return &ImageBuilderAttributes{
		StackName:           optional(stack),
		ProjectName:         &parsed.ProjectName,
		LogGroupName:        &parsed.LogGroupName,
		SourceBucketName:    &parsed.SourceBucketName,
		CacheRepositoryName: &parsed.CacheRepository,
		RepositoryNames:     jsii.Strings(parsed.RepositoryNames...),
		RepositoryPrefix:    &parsed.RepositoryPrefix,
		ArmImage:            &parsed.ArmImage,
		RoleArn:             optional(parsed.BuildRoleARN),
		EncryptionKeyArn:    optional(parsed.EncryptionKeyARN),
		ParameterName:       optional(parsed.ParameterName),
	}
}

// optional returns nil if the stack has no such output.
func optional(output string) *string {
	if output == "" {
		return nil
	}
	return &output
}

// FromAttributes returns the image builder of another stack, to grant its use,
// to react to its builds, or to grant its builds more. It panics with an error
// that names every missing attribute.
func FromAttributes(scope constructs.Construct, id *string, attributes *ImageBuilderAttributes) IImageBuilder {
	must(attributes.validate())
	b := &imageBuilder{}
	constructs.NewConstruct_Override(b, scope, id)
	b.Node().AddValidation(&completeApp{b})
	b.props = &ImageBuilderProps{
		RepositoryPrefix: jsii.String(or(attributes.RepositoryPrefix, "")),
		ArmImage:         attributes.ArmImage,
		ParameterName:    attributes.ParameterName,
	}
	if arn := attributes.EncryptionKeyArn; arn != nil {
		b.props.EncryptionKey = awskms.Key_FromKeyArn(b, jsii.String("EncryptionKey"), arn)
	}
	if name := attributes.StackName; name != nil {
		b.stackARN = b.stackNamed(*name)
	}
	b.project = awscodebuild.Project_FromProjectName(b, jsii.String("Project"), attributes.ProjectName)
	b.logGroup = awslogs.LogGroup_FromLogGroupName(b, jsii.String("LogGroup"), attributes.LogGroupName)
	b.sourceBucket = awss3.Bucket_FromBucketName(b, jsii.String("SourceBucket"), attributes.SourceBucketName)
	b.cacheRepository = awsecr.Repository_FromRepositoryName(b, jsii.String("CacheRepository"), attributes.CacheRepositoryName)
	b.names = values(attributes.RepositoryNames)
	for _, name := range b.names {
		b.repositories = append(b.repositories, awsecr.Repository_FromRepositoryName(b, jsii.String("Repository-"+name), jsii.String(name)))
	}
	if attributes.RoleArn != nil {
		b.role = awsiam.Role_FromRoleArn(b, jsii.String("Role"), attributes.RoleArn, nil)
	}
	return b
}

func (a *ImageBuilderAttributes) validate() error {
	if a == nil {
		return errors.New("FromAttributes: no attributes: give the outputs of the stack that has the image builder")
	}
	var errs []error
	for _, required := range []struct {
		name  string
		value *string
	}{
		{"StackName", firstOf(a.StackName, a.ParameterName)}, {"ProjectName", a.ProjectName}, {"LogGroupName", a.LogGroupName},
		{"SourceBucketName", a.SourceBucketName}, {"CacheRepositoryName", a.CacheRepositoryName},
	} {
		if or(required.value, "") == "" {
			errs = append(errs, problem(required.name, "missing: give the value of the stack's output"))
		}
	}
	for i, name := range values(a.RepositoryNames) {
		errs = append(errs, checkRepository(fmt.Sprintf("RepositoryNames[%d]", i), &name, repositoryForm, repositoryWords))
	}
	if or(a.RepositoryPrefix, "") != "" {
		errs = append(errs, checkRepository("RepositoryPrefix", literal(a.RepositoryPrefix), prefixForm, prefixWords))
	}
	return errors.Join(append(errs,
		checkText("ParameterName", literal(a.ParameterName), parameterForm, parameterWords),
		checkText("ArmImage", literal(a.ArmImage), armImageForm, armImageWords))...)
}

// firstOf returns the first value that is not nil, or nil.
func firstOf(values ...*string) *string {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return nil
}

// literal returns nil for a token, which is known only at deployment.
func literal(value *string) *string {
	if strings.Contains(or(value, ""), tokenMark) {
		return nil
	}
	return value
}
