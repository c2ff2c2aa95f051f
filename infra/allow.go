package infra

import (
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodecommit"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) AllowSecret(secret awssecretsmanager.ISecret) {
	b.permitOn(secretARN(secret), "secretsmanager:GetSecretValue")
	b.permitKeyOf("secretsmanager", secret.EncryptionKey())
}

func (b *imageBuilder) AllowParameter(parameter awsssm.IParameter, key awskms.IKey) {
	b.permitOn(parameter.ParameterArn(), "ssm:GetParameters")
	b.permitKeyOf("ssm", key)
}

// permitKeyOf lets builds decrypt what a service has encrypted with a key,
// through that service only.
func (b *imageBuilder) permitKeyOf(service string, key awskms.IKey) {
	if key == nil {
		return
	}
	through := service + "." + *awscdk.Aws_REGION() + ".*"
	b.permitIf(conditions{"StringLike": conditions{"kms:ViaService": through}}, key.KeyArn(), "kms:Decrypt")
}

// secretARN returns the ARN of a secret for a policy. The ARN of a secret that
// is known by its name only lacks the six characters at its end.
func secretARN(secret awssecretsmanager.ISecret) *string {
	if secret.SecretFullArn() == nil {
		return jsii.String(*secret.SecretArn() + "-??????")
	}
	return secret.SecretFullArn()
}

func (b *imageBuilder) AllowCodeCommit(repository awscodecommit.IRepository) {
	b.permitOn(repository.RepositoryArn(), "codecommit:GitPull")
}

func (b *imageBuilder) AllowSourceObjects(bucket awss3.IBucket, prefix *string) {
	b.permitOn(bucket.ArnForObjects(jsii.String(or(prefix, "")+"*")), "s3:GetObject", "s3:GetObjectVersion")
	b.permitOn(bucket.BucketArn(), "s3:GetBucketLocation")
	b.permitKey(bucket.EncryptionKey(), "kms:Decrypt")
}

const connectionWords = "the ARN of a connection, arn:aws:codeconnections:REGION:ACCOUNT:connection/ID"

var connectionForm = regexp.MustCompile(`^arn:[a-z-]+:(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/[0-9a-zA-Z-]+$`)

// AllowConnection uses the prefix of the ARN for the actions, because IAM has
// the two names of the service for the connections that were made under each.
func (b *imageBuilder) AllowConnection(arn *string) {
	parts := connectionForm.FindStringSubmatch(or(arn, ""))
	if parts == nil {
		panic(problem("AllowConnection", "%q: give %s", or(arn, ""), connectionWords))
	}
	service := parts[1]
	b.permitOn(arn, service+":GetConnection", service+":GetConnectionToken", service+":UseConnection")
}
