package infra

import (
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodecommit"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) AllowSecret(secret awssecretsmanager.ISecret) {
	if b.role != nil {
		b.permissions.Add(secret.GrantRead(b.role, nil))
	}
}

func (b *imageBuilder) AllowCodeCommit(repository awscodecommit.IRepository) {
	b.permit(allow([]*string{repository.RepositoryArn()}, "codecommit:GitPull"))
}

func (b *imageBuilder) AllowSourceObjects(bucket awss3.IBucket, prefix *string) {
	b.permit(
		allow([]*string{bucket.ArnForObjects(jsii.String(or(prefix, "") + "*"))}, "s3:GetObject", "s3:GetObjectVersion"),
		allow([]*string{bucket.BucketArn()}, "s3:GetBucketLocation"),
	)
	b.allowKey(bucket.EncryptionKey(), "kms:Decrypt")
}

const connectionWords = "the ARN of a connection, arn:aws:codeconnections:REGION:ACCOUNT:connection/ID"

var connectionForm = regexp.MustCompile(`^arn:[a-z-]+:(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/[0-9a-zA-Z-]+$`)

// AllowConnection takes the actions' prefix from the ARN: IAM has the two names
// of the service for the connections made under each.
func (b *imageBuilder) AllowConnection(arn *string) {
	parts := connectionForm.FindStringSubmatch(or(arn, ""))
	if parts == nil {
		panic(problem("AllowConnection", "%q: give %s", or(arn, ""), connectionWords))
	}
	service := parts[1]
	b.permit(allow([]*string{arn}, service+":GetConnection", service+":GetConnectionToken", service+":UseConnection"))
}

// allowSourceLogin lets builds use what the project's own source is cloned with.
func (b *imageBuilder) allowSourceLogin() {
	if arn := b.props.SourceConnectionArn; arn != nil {
		b.AllowConnection(arn)
	}
	if secret := b.props.SourceCredentials; secret != nil {
		b.AllowSecret(secret)
	}
}

// allowKey lets builds use the key of something that they may use, if it has one.
func (b *imageBuilder) allowKey(key awskms.IKey, actions ...string) {
	if key != nil && b.role != nil {
		b.permissions.Add(key.Grant(b.role, *jsii.Strings(actions...)...))
	}
}
