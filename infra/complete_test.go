package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

func service(name string) awsiam.PrincipalBase { return awsiam.NewServicePrincipal(&name, nil) }

func TestRoleThatDoesNotTrustCodeBuildFailsTheSynthesis(t *testing.T) {
	for name, c := range map[string]struct {
		role    func(awscdk.Stack) awsiam.IRole
		refused bool
	}{
		"another service": {role: roleOf(service("lambda.amazonaws.com")), refused: true},
		"an account":      {role: roleOf(awsiam.NewAccountRootPrincipal()), refused: true},
		"CodeBuild":       {role: roleOf(service("codebuild.amazonaws.com"))},
		"several":         {role: roleOf(awsiam.NewCompositePrincipal(service("ec2.amazonaws.com"), service("codebuild.amazonaws.com")))},
		"later": {role: func(stack awscdk.Stack) awsiam.IRole {
			role := awsiam.NewRole(stack, jsii.String("Given"), &awsiam.RoleProps{AssumedBy: service("ec2.amazonaws.com")})
			role.AssumeRolePolicy().AddStatements(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions: jsii.Strings("sts:AssumeRole"), Principals: &[]awsiam.IPrincipal{service("codebuild.amazonaws.com")},
			}))
			return role
		}},
		"imported": {role: func(stack awscdk.Stack) awsiam.IRole {
			return awsiam.Role_FromRoleArn(stack, jsii.String("Given"), jsii.String("arn:aws:iam::123456789012:role/builds"), nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := panicOf(func() {
				synthesizeStack(t, nil, func(stack awscdk.Stack) {
					infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{Role: c.role(stack)})
				})
			})
			if refused := strings.Contains(got, "Role: Stack/Given does not trust codebuild.amazonaws.com"); refused != c.refused {
				t.Errorf("the error is %q", got)
			}
		})
	}
}

func roleOf(principal awsiam.IPrincipal) func(awscdk.Stack) awsiam.IRole {
	return func(stack awscdk.Stack) awsiam.IRole {
		return awsiam.NewRole(stack, jsii.String("Given"), &awsiam.RoleProps{AssumedBy: principal})
	}
}

func TestRegionsWithoutCodeBuildAreNamed(t *testing.T) {
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())}) // without the CDK's own check, which finds it too
	for region, want := range map[string]bool{"ca-west-1": true, "eu-central-1": false, "": false} {
		var props awscdk.StackProps
		if region != "" {
			props.Env = &awscdk.Environment{Region: &region}
		}
		stack := awscdk.NewStack(app, jsii.String("Stack"+region), &props)
		infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		pattern := assertions.Match_StringLikeRegexp(jsii.String("CodeBuild had no endpoint in " + region))
		if warned := len(*assertions.Annotations_FromStack(stack).FindWarning(jsii.String("*"), pattern)) > 0; warned != want {
			t.Errorf("%q: warned %v, want %v", region, warned, want)
		}
	}
}
