package infra

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// newRole adds the builds' role, unless one was given.
func (b *imageBuilder) newRole() awsiam.IRole {
	if b.props.Role != nil {
		return b.props.Role
	}
	return awsiam.NewRole(b, jsii.String("Role"), &awsiam.RoleProps{
		Description:         jsii.String("What image builds of " + *b.props.ProjectName + " may do"),
		AssumedBy:           b.trustedService(),
		PermissionsBoundary: b.props.PermissionsBoundary,
	})
}

// newPolicy adds the policy of the role. It belongs to the builder, so that a
// role of another stack can be given without making that stack depend on this
// one.
func (b *imageBuilder) newPolicy() awsiam.Policy {
	policy := awsiam.NewPolicy(b, jsii.String("Policy"), nil)
	b.role.AttachInlinePolicy(policy) // has no effect on a role that is not mutable
	return policy
}

// permit adds permissions to the builds' role. It has no effect on a role that
// was imported as not mutable.
func (b *imageBuilder) permit(statements ...awsiam.PolicyStatement) {
	b.policy.AddStatements(statements...)
}

// permitOn permits actions on one more resource.
func (b *imageBuilder) permitOn(resource *string, actions ...string) {
	b.permitIf(nil, resource, actions...)
}

// permitIf permits actions on one more resource under conditions, which may be
// nil. Resources with the same actions and conditions share a statement,
// because a role's inline policies have little room: see maxRolePolicies.
func (b *imageBuilder) permitIf(c conditions, resource *string, actions ...string) {
	key := fmt.Sprint(actions, c)
	if shared := b.shared[key]; shared != nil {
		shared.AddResources(resource)
		return
	}
	statement := allow([]*string{resource}, actions...)
	for operator, values := range c {
		statement.AddCondition(&operator, values)
	}
	if b.shared == nil {
		b.shared = map[string]awsiam.PolicyStatement{}
	}
	b.shared[key] = statement
	b.permit(statement)
}

// permitKey lets builds use the key of something that they may use, if it has
// one. The key's own policy must let the account's identities use it, as it
// does by default.
func (b *imageBuilder) permitKey(key awskms.IKey, actions ...string) {
	if key != nil {
		b.permitOn(key.KeyArn(), actions...)
	}
}

// frozenRole returns the role for the L2 project, which would add permissions
// of its own to a role that it may change.
func (b *imageBuilder) frozenRole() awsiam.IRole {
	if own, ok := b.role.(awsiam.Role); ok {
		return own.WithoutPolicyUpdates(nil)
	}
	return awsiam.Role_FromRoleArn(b, jsii.String("FrozenRole"), b.role.RoleArn(), &awsiam.FromRoleArnOptions{
		Mutable: jsii.Bool(false),
	})
}

// trustedService returns CodeBuild as a principal, when it acts for this
// project only. Without the condition, a project of another account could use
// the role.
func (b *imageBuilder) trustedService() awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String(codeBuildService), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
			"ArnEquals":    map[string]any{"aws:SourceArn": b.projectARN()},
		},
	})
}

// projectARN is made of the name: the project depends on the role, so the role
// cannot refer to the project.
func (b *imageBuilder) projectARN() *string {
	return b.arn("codebuild", "project", *b.props.ProjectName)
}

// arn returns the ARN of something in this stack's account, region and
// partition.
func (b *imageBuilder) arn(service, resource, name string) *string {
	return awscdk.Stack_Of(b).FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String(service),
		Resource:     jsii.String(resource),
		ResourceName: jsii.String(name),
	})
}

// stackNamed returns the ARN of all stacks with a name, past and future:
// CloudFormation puts a random part after the name.
func (b *imageBuilder) stackNamed(name string) *string {
	return b.arn("cloudformation", "stack", name+"/*")
}

// statements returns everything that a build may do.
func (b *imageBuilder) statements() []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		allow([]*string{b.logGroup.LogGroupArn()},
			"logs:CreateLogStream", "logs:PutLogEvents"),
		// ECR's login is for the whole registry: AWS knows no narrower
		// resource.
		allow([]*string{jsii.String("*")},
			"ecr:GetAuthorizationToken"),
		allow(append(b.imageRepositories(), b.cacheRepository.RepositoryArn()),
			slices.Concat(pullActions, pushActions, describeActions)...),
		allow([]*string{b.sourceBucket.ArnForObjects(jsii.String(sourcePrefix + "*"))},
			"s3:GetObject", "s3:GetObjectVersion"),
		allow([]*string{b.sourceBucket.BucketArn()},
			"s3:GetBucketLocation"),
	}
}

var (
	pullActions = []string{"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"}
	pushActions = []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}
	// With these, a build finds a missing repository, an immutable tag and the
	// age of its cache before it builds.
	describeActions = []string{"ecr:DescribeRepositories", "ecr:DescribeImages"}
)

// imageRepositories returns the ARNs of the repositories to which images are
// pushed.
func (b *imageBuilder) imageRepositories() []*string {
	var arns []*string
	for _, repository := range b.repositories {
		arns = append(arns, repository.RepositoryArn())
	}
	if prefix := *b.props.RepositoryPrefix; prefix != "" {
		arns = append(arns, b.arn("ecr", "repository", prefix+"*"))
	}
	return arns
}

func allow(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings(actions...),
		Resources: &resources,
	})
}
