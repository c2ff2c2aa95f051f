package infra

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// addCreationTemplate makes ECR create the repositories under the prefix at
// their first push, with the settings of the declared ones. Builds need a
// permission for that.
func (b *imageBuilder) addCreationTemplate() {
	if !*b.props.CreateRepositoriesOnPush {
		return
	}
	props := &awsecr.CfnRepositoryCreationTemplateProps{
		AppliedFor:         jsii.Strings("CREATE_ON_PUSH"),
		Prefix:             jsii.String(strings.TrimSuffix(*b.props.RepositoryPrefix, "/")),
		Description:        jsii.String("Repositories of image builds"),
		ImageTagMutability: jsii.String(string(b.props.ImageTagMutability)),
		RepositoryPolicy:   b.pullPolicyText(),
	}
	if filters := b.creationExclusions(); filters != nil {
		props.ImageTagMutabilityExclusionFilters = filters
	}
	if text := b.props.LifecyclePolicyText; *text != "" {
		props.LifecyclePolicy = text
	}
	b.permit(allow([]*string{b.arn("ecr", "repository", *b.props.RepositoryPrefix+"*")}, "ecr:CreateRepository"))
	b.newCreationTemplate("CreationTemplate", props)
}

// newCreationTemplate makes ECR create the repositories under a prefix,
// encrypted like the declared ones.
func (b *imageBuilder) newCreationTemplate(id string, props *awsecr.CfnRepositoryCreationTemplateProps) {
	if key := b.props.RepositoryEncryptionKey; key != nil {
		props.EncryptionConfiguration = &awsecr.CfnRepositoryCreationTemplate_EncryptionConfigurationProperty{
			EncryptionType: jsii.String("KMS"),
			KmsKey:         key.KeyArn(),
		}
		props.CustomRoleArn = b.creationRoleFor(*props.Prefix).RoleArn()
	}
	awsecr.NewCfnRepositoryCreationTemplate(b, &id, props)
}

func (b *imageBuilder) creationExclusions() []any {
	var filters []any
	for _, pattern := range values(b.props.ImageTagMutabilityExclusionFilters) {
		filters = append(filters, &awsecr.CfnRepositoryCreationTemplate_ImageTagMutabilityExclusionFilterProperty{
			ImageTagMutabilityExclusionFilterType:  jsii.String("WILDCARD"),
			ImageTagMutabilityExclusionFilterValue: jsii.String(pattern),
		})
	}
	return filters
}

// pullPolicyText returns the policy of PullPrincipals as the text that the
// template takes.
func (b *imageBuilder) pullPolicyText() *string {
	statements := b.pullStatements()
	if statements == nil {
		return nil
	}
	document := awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
	return awscdk.Stack_Of(b).ToJsonString(document, nil)
}

// creationRoleFor returns the role with which ECR creates repositories under a
// prefix that are encrypted with a key of the user's. ECR has no permission for
// such a key otherwise.
func (b *imageBuilder) creationRoleFor(prefix string) awsiam.IRole {
	if b.creationRole == nil {
		b.creationRole = awsiam.NewRole(b, jsii.String("CreationRole"), &awsiam.RoleProps{
			Description:         jsii.String("Creates the repositories that image builds push to and pull through"),
			AssumedBy:           awsiam.NewServicePrincipal(jsii.String("ecr.amazonaws.com"), nil),
			PermissionsBoundary: b.props.PermissionsBoundary,
		})
		b.creationRole.AddToPolicy(allow([]*string{b.props.RepositoryEncryptionKey.KeyArn()},
			"kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"))
	}
	b.creationRole.AddToPolicy(allow([]*string{b.arn("ecr", "repository", prefix+"/*")},
		"ecr:CreateRepository", "ecr:ReplicateImage", "ecr:TagResource"))
	return b.creationRole
}
