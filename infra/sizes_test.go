package infra_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// Policies that IAM would refuse at deployment fail the synthesis, with their
// size and what to do.
func TestPoliciesThatIAMWouldRefuseFailTheSynthesis(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(awscdk.Stack)
		want []string // none for a stack that fits
	}{
		"a user": {func(stack awscdk.Stack) {
			newBuilder(stack, "Builder").GrantStart(awsiam.NewUser(stack, jsii.String("User"), nil), nil)
		}, []string{"[Stack/Builder] the policy of Stack/User has about 5", "IAM takes 2048: grant to a role"}},
		"a user of before": {func(stack awscdk.Stack) {
			newBuilder(stack, "Builder").GrantStart(awsiam.User_FromUserName(stack, jsii.String("User"), jsii.String("ann")), nil)
		}, []string{"the policy of Stack/User has", "2048"}},
		"a group": {func(stack awscdk.Stack) {
			newBuilder(stack, "Builder").GrantStart(awsiam.NewGroup(stack, jsii.String("Group"), nil), nil)
		}, []string{"the policy of Stack/Group has", "5120: grant to a role"}},
		"a user who watches": {func(stack awscdk.Stack) {
			newBuilder(stack, "Builder").GrantRead(awsiam.NewUser(stack, jsii.String("User"), nil))
		}, nil},
		"a user who pulls from many repositories": {func(stack awscdk.Stack) {
			builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{Repositories: names("repository-%02d", 30)})
			builder.GrantPull(awsiam.NewUser(stack, jsii.String("User"), nil))
		}, []string{"the policy of Stack/User has", "2048"}},
		"a managed policy": {func(stack awscdk.Stack) {
			newBuilder(stack, "Builder").GrantStart(awsiam.NewManagedPolicy(stack, jsii.String("Managed"), nil), nil)
		}, nil},
		"a managed policy for two builders": {func(stack awscdk.Stack) {
			managed := awsiam.NewManagedPolicy(stack, jsii.String("Managed"), nil)
			newBuilder(stack, "One").GrantStart(managed, nil)
			newBuilder(stack, "Two").GrantStart(managed, nil)
		}, []string{"[Stack/One] the policy of Stack/Managed has about 1", "6144: give each GrantStart a managed policy of its own"}},
		"a role for two builders": {func(stack awscdk.Stack) {
			caller := newCaller(stack)
			newBuilder(stack, "One").GrantStart(caller, nil)
			newBuilder(stack, "Two").GrantStart(caller, nil)
		}, nil},
		"a role that others fill": {func(stack awscdk.Stack) {
			role := roleOf(service("codebuild.amazonaws.com"))(stack)
			allowSecretsTo(stack, role, "One", 55)
			allowSecretsTo(stack, role, "Two", 55)
		}, []string{"[Stack/One] the policy of the builds' role has about 1", "[Stack/Two] the policy of the builds' role has about 1", "10240"}},
		"a role that is not mutable": {func(stack awscdk.Stack) {
			role := awsiam.Role_FromRoleArn(stack, jsii.String("Given"), jsii.String("arn:aws:iam::123456789012:role/builds"), &awsiam.FromRoleArnOptions{Mutable: jsii.Bool(false)})
			allowSecretsTo(stack, role, "Builder", 130)
		}, nil},
		"a role of another stack with many secrets": {ofAnotherStack(90), nil},
		"a role of another stack with too many":     {ofAnotherStack(130), []string{"[Stack/Builder] the policy of the builds' role has about 1", "10240"}},
		"a role with many secrets":                  {allowSecrets(90), nil},
		"a role with too many":                      {allowSecrets(130), []string{"[Stack/Builder] the policy of the builds' role has about 1", "10240: allow fewer"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := panicOf(func() { synthesizeStack(t, nil, c.fill) })
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("the error is %q, want %q in it", got, want)
				}
			}
			if strings.Contains(got, "the policy of") != (c.want != nil) {
				t.Errorf("the error is %q", got)
			}
			if n := strings.Count(got, "the policy of"); n > 2 { // once for each builder
				t.Errorf("the policy is reported %d times: %s", n, got)
			}
		})
	}
}

func newBuilder(stack awscdk.Stack, id string) infra.ImageBuilder {
	return infra.NewImageBuilder(stack, &id, &infra.ImageBuilderProps{OutputPrefix: &id})
}

func allowSecrets(n int) func(awscdk.Stack) {
	return func(stack awscdk.Stack) { allowSecretsTo(stack, nil, "Builder", n) }
}

func ofAnotherStack(secrets int) func(awscdk.Stack) {
	return func(stack awscdk.Stack) {
		other := awscdk.NewStack(stack.Node().Root().(constructs.Construct), jsii.String("Other"), nil)
		allowSecretsTo(stack, roleOf(service("codebuild.amazonaws.com"))(other), "Builder", secrets)
	}
}

// allowSecretsTo adds a builder with that role, which may be nil, and n
// secrets.
func allowSecretsTo(stack awscdk.Stack, role awsiam.IRole, id string, n int) {
	builder := infra.NewImageBuilder(stack, &id, &infra.ImageBuilderProps{OutputPrefix: &id, Role: role})
	for _, name := range *names("team/"+id+"-%03d", n) {
		builder.AllowSecret(awssecretsmanager.Secret_FromSecretNameV2(stack, name, name))
	}
}

func names(format string, n int) *[]*string {
	var all []*string
	for i := range n {
		all = append(all, jsii.String(fmt.Sprintf(format, i)))
	}
	return &all
}
