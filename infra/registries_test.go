package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

func TestBuildsMayPushToAnotherRegistry(t *testing.T) {
	const elsewhere = "arn:aws:ecr:eu-central-1:210987654321:repository/team/api"
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowPush(awsecr.Repository_FromRepositoryArn(stack, jsii.String("Elsewhere"), jsii.String(elsewhere)))
	})
	for _, action := range strings.Fields(pushing) {
		if !may(t, tpl, action, elsewhere) {
			t.Errorf("builds may not do %s there", action)
		}
	}
	if !may(t, tpl, "ecr:GetAuthorizationToken", "*") {
		t.Error("builds may not log in")
	}
}

func TestAllowPushIsForOtherRegistries(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		message := panicOf(func() {
			builder.AllowPush(awsecr.Repository_FromRepositoryName(stack, jsii.String("Here"), jsii.String("here")))
		})
		if !strings.HasPrefix(message, "AllowPush: arn:") || !strings.HasSuffix(message, "is of the builder's own account and region: give it as one of ExistingRepositories") {
			t.Errorf("panic: %q", message)
		}
	})
}

// As docs/registries.md has it, for the declared repositories and for those
// that a push creates.
func TestLambdaOfAnotherAccountMayPull(t *testing.T) {
	lambda := awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{"StringLike": map[string]any{"aws:sourceArn": "arn:aws:lambda:*:210987654321:function:*"}},
	})
	tpl := synthesize(t, &infra.ImageBuilderProps{
		Repositories: jsii.Strings("aa"), RepositoryPrefix: jsii.String("team/"), CreateRepositoriesOnPush: jsii.Bool(true),
		PullPrincipals: &[]awsiam.IPrincipal{lambda, awsiam.NewOrganizationPrincipal(jsii.String("o-1234567890"))},
	})
	const statement = `"Condition":{"StringLike":{"aws:sourceArn":"arn:aws:lambda:*:210987654321:function:*"}},"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}`
	const organization = `"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}},"Effect":"Allow","Principal":{"AWS":"*"}}`
	declared := compact(tpl.the(t, repositoryType, "Repositoryaa").at("Properties.RepositoryPolicyText"))
	created := text(tpl.the(t, creationType, "").at("Properties.RepositoryPolicy"))
	for name, policy := range map[string]string{"the declared repository": declared, "a created repository": created} {
		for _, want := range []string{statement, organization} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy of %s is %s, want %s in it", name, policy, want)
			}
		}
	}
}
