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

// ImageBuilderAttributes name an image builder that is deployed in another
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

	// RoleArn is the role of its builds, for granting it more.
	//
	// Default: none: Role returns nil, and grants to the builder have no effect.
	RoleArn *string

	// EncryptionKeyArn is the key of its source bucket, if it has one.
	//
	// Default: none.
	EncryptionKeyArn *string

	// ParameterName is its parameter, for what those who may watch its builds read.
	//
	// Default: none.
	ParameterName *string
}

// FromStackOutputs returns the image builder of another stack, given the outputs
// that it had when it was deployed: what cdk deploy --outputs-file writes for the
// stack, say. stack is the stack's name; if it has several builders, its name, a
// dot and the builder's OutputPrefix. It panics with an error that names all that
// is missing.
func FromStackOutputs(scope constructs.Construct, id, stack *string, outputs map[string]string) IImageBuilder {
	attributes, err := attributesOf(or(stack, ""), outputs)
	must(err)
	return FromAttributes(scope, id, attributes)
}

// FromParameterName returns the image builder of another stack, given the
// ParameterName of its props. The name must be literal.
//
// The CDK reads the parameter while it synthesizes, because what it holds decides
// what a policy names. The stack of scope therefore needs an Env with an account and a
// region, those of the builder, and whoever runs the CDK needs ssm:GetParameter
// there. The CDK keeps what it read in cdk.context.json, to be committed. After a
// deployment that changed the builder's repositories or names, forget it with cdk
// context --reset. Until the parameter was read, the builder has placeholders in the
// place of its names, one repository among them.
func FromParameterName(scope constructs.Construct, id, name *string) IImageBuilder {
	must(checkText("FromParameterName", jsii.String(or(name, "")), parameterForm, parameterWords))
	text := awsssm.StringParameter_ValueFromLookup(scope, name, nil, nil)
	attributes, err := attributesIn(*name, *text, *awscdk.Stack_Of(scope).Account())
	must(err)
	return FromAttributes(scope, id, attributes)
}

// attributesIn reads what a parameter of the account holds, or what the CDK has in
// its place before it read the parameter.
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

// placeholders can be granted and grant everything that the real builder can.
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
		StackName:           given(stack),
		ProjectName:         &parsed.ProjectName,
		LogGroupName:        &parsed.LogGroupName,
		SourceBucketName:    &parsed.SourceBucketName,
		CacheRepositoryName: &parsed.CacheRepository,
		RepositoryNames:     jsii.Strings(parsed.RepositoryNames...),
		RepositoryPrefix:    &parsed.RepositoryPrefix,
		ArmImage:            &parsed.ArmImage,
		RoleArn:             given(parsed.BuildRoleARN),
		EncryptionKeyArn:    given(parsed.EncryptionKeyARN),
		ParameterName:       given(parsed.ParameterName),
	}
}

// given is nil for an output that there is not.
func given(output string) *string {
	if output == "" {
		return nil
	}
	return &output
}

// FromAttributes returns the image builder of another stack, to grant its use, to
// react to its builds, or to grant them more. It panics with an error that names
// every attribute that is missing.
func FromAttributes(scope constructs.Construct, id *string, attributes *ImageBuilderAttributes) IImageBuilder {
	must(attributes.validate())
	b := &imageBuilder{}
	constructs.NewConstruct_Override(b, scope, id)
	b.Node().AddValidation(&policySizes{b})
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

// firstOf is the first of some values that is given, or nil.
func firstOf(values ...*string) *string {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return nil
}

// literal is nil for a token, which is known at deployment only.
func literal(value *string) *string {
	if strings.Contains(or(value, ""), tokenMark) {
		return nil
	}
	return value
}
