package infra

import (
	"errors"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// ImageBuilderAttributes name an image builder that is deployed in another
// stack of the same account and region. They are that stack's outputs.
type ImageBuilderAttributes struct {
	StackName           *string    // required
	ProjectName         *string    // required
	LogGroupName        *string    // required
	SourceBucketName    *string    // required
	CacheRepositoryName *string    // required
	RepositoryNames     *[]*string // default: none
	RepositoryPrefix    *string    // default: none

	// RoleArn is the role of its builds, for what Allow adds to it.
	//
	// Default: none: the Allow methods change nothing, and Role returns nil.
	RoleArn *string

	// EncryptionKey is the key of its source bucket, if it has one.
	EncryptionKey awskms.IKey
}

// FromAttributes returns the image builder of another stack, to grant its use or
// to react to its builds. It panics with an error that names every attribute
// that is missing.
func FromAttributes(scope constructs.Construct, id *string, attributes *ImageBuilderAttributes) ImageBuilder {
	must(attributes.validate())
	b := &imageBuilder{permissions: constructs.NewDependencyGroup()}
	constructs.NewConstruct_Override(b, scope, id)
	b.props = &ImageBuilderProps{
		RepositoryPrefix: jsii.String(or(attributes.RepositoryPrefix, "")),
		EncryptionKey:    attributes.EncryptionKey,
	}
	// CloudFormation puts a random part after a stack's name.
	b.stackARN = b.arn("cloudformation", "stack", *attributes.StackName+"/*")
	b.project = awscodebuild.Project_FromProjectName(b, jsii.String("Project"), attributes.ProjectName)
	b.logGroup = awslogs.LogGroup_FromLogGroupName(b, jsii.String("LogGroup"), attributes.LogGroupName)
	b.sourceBucket = awss3.Bucket_FromBucketName(b, jsii.String("SourceBucket"), attributes.SourceBucketName)
	b.cacheRepository = awsecr.Repository_FromRepositoryName(b, jsii.String("CacheRepository"), attributes.CacheRepositoryName)
	for _, name := range values(attributes.RepositoryNames) {
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
		{"StackName", a.StackName}, {"ProjectName", a.ProjectName}, {"LogGroupName", a.LogGroupName},
		{"SourceBucketName", a.SourceBucketName}, {"CacheRepositoryName", a.CacheRepositoryName},
	} {
		if or(required.value, "") == "" {
			errs = append(errs, fmt.Errorf("%s: missing: give the value of the stack's output", required.name))
		}
	}
	return errors.Join(errs...)
}
