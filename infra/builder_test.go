package infra_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

func TestBuilderIsAScopeAndADependency(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		awssns.NewTopic(builder, jsii.String("Inside"), nil)
		after := awssns.NewTopic(stack, jsii.String("After"), nil)
		after.Node().AddDependency(builder)
		if got := *builder.ToString(); got != "Stack/Builder" {
			t.Errorf("the builder calls itself %q", got)
		}
	})
	tpl.the(t, "AWS::SNS::Topic", "BuilderInside")
	dependencies := compact(tpl.the(t, "AWS::SNS::Topic", "After")["DependsOn"])
	for id := range tpl.resources("AWS::CodeBuild::Project") {
		if !strings.Contains(dependencies, id) {
			t.Errorf("the dependent waits for %s, not for the project %s", dependencies, id)
		}
	}
}

// A grant to the builder is a grant to the role of its builds.
func TestBuilderIsGrantable(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		awssns.NewTopic(stack, jsii.String("Topic"), nil).GrantPublish(builder)
	})
	check(t, tpl, []want{
		{rolePolicy, "RoleDefaultPolicy", "Properties.PolicyDocument.Statement.0.Action", `"sns:Publish"`},
		{rolePolicy, "RoleDefaultPolicy", "Properties.Roles.0", `"${Role}"`},
	})
}

func TestBuilderInAVpcIsConnectable(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		vpc := newNetwork(stack).vpc
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{Vpc: vpc})
		group := awsec2.NewSecurityGroup(stack, jsii.String("Database"), &awsec2.SecurityGroupProps{Vpc: vpc})
		group.Connections().AllowFrom(builder, awsec2.Port_Tcp(jsii.Number(5432)), nil)
	})
	check(t, tpl, []want{
		{"AWS::EC2::SecurityGroupIngress", "Database", "Properties.FromPort", `5432`},
		{"AWS::EC2::SecurityGroupIngress", "Database", "Properties.SourceSecurityGroupId", `"${ProjectSecurityGroup.GroupId}"`},
	})
}

func TestBuilderWithoutAVpcHasNoConnections(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		const want = "Connections: the builds of Stack/Builder have no security groups: give the builder a Vpc"
		if message := panicOf(func() { builder.Connections() }); message != want {
			t.Errorf("panic: %q, want %q", message, want)
		}
	})
}

func TestBuilderHandsOutWhatItMade(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Repositories: jsii.Strings("bb", "aa"),
		})
		for name, construct := range map[string]awscdk.IResource{
			"Project": builder.Project(), "Role": builder.Role(), "LogGroup": builder.LogGroup(),
			"SourceBucket": builder.SourceBucket(), "CacheRepository": builder.CacheRepository(),
			"Repository-bb": builder.Repositories()[0], "Repository-aa": builder.Repositories()[1],
		} {
			if got := *construct.Node().Id(); got != name {
				t.Errorf("%s() is %s", name, got)
			}
		}
	})
}

func TestBuildersLiveInOneStack(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("One"), nil)
		infra.NewImageBuilder(stack, jsii.String("Two"), &infra.ImageBuilderProps{OutputPrefix: jsii.String("Two")})
	})
	names := map[any]bool{}
	for _, project := range tpl.resources("AWS::CodeBuild::Project") {
		names[project.at("Properties.Name")] = true
	}
	if len(names) != 2 {
		t.Errorf("the projects are %v, want two names", names)
	}
	if tpl.at("Outputs.TwoProjectName") == nil || tpl.at("Outputs.ProjectName") == nil {
		t.Errorf("outputs of the two builders: %s", compact(tpl["Outputs"]))
	}
}

func TestBuildsMayReadWhatTheirVariablesName(t *testing.T) {
	const account = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
	tpl := synthesizeStack(t, nil, administrators)
	for action, resource := range map[string]string{
		"ssm:GetParameters":             fmt.Sprintf(account, "ssm", "parameter/team/registry"),
		"secretsmanager:GetSecretValue": fmt.Sprintf(account, "secretsmanager", "secret:team/telemetry-??????"),
	} {
		if !may(t, tpl, action, resource) {
			t.Errorf("builds may not do %s on %s", action, resource)
		}
	}
}

func TestPlainVariablesHaveNoSecrets(t *testing.T) {
	message := panicOf(func() {
		synthesizeStack(t, nil, func(stack awscdk.Stack) {
			props := variable("TOKEN", awscdk.SecretValue_SecretsManager(jsii.String("token"), nil).ToString(), "")
			infra.NewImageBuilder(stack, jsii.String("Builder"), &props)
		})
	})
	if !strings.Contains(message, "environment variable 'TOKEN'") {
		t.Errorf("panic: %q, want the variable's name", message)
	}
}

// The parameter names the builder's resources, so whoever starts builds needs
// no access to a stack.
func TestBuilderWithoutOutputsNeedsNone(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			ParameterName: jsii.String("/team/images"), StackOutputs: jsii.Bool(false),
		})
		infra.NewImageBuilder(stack, jsii.String("Two"), nil) // no clash of outputs
		builder.GrantRead(newCaller(stack))
	})
	may := allowed(documentStatements(tpl.the(t, rolePolicy, "Caller").at("Properties.PolicyDocument")))
	if may["cloudformation:DescribeStacks"] != nil || may["ssm:GetParameter"] == nil {
		t.Errorf("callers may %v, want the parameter and not the stack", may)
	}
	if !strings.Contains(text(tpl.the(t, "AWS::SSM::Parameter", "").at("Properties.Value")), `"ProjectName":"`) {
		t.Error("the parameter does not name the project")
	}
}

func TestSecondBuilderOfAStackNeedsAnOutputPrefix(t *testing.T) {
	message := panicOf(func() {
		synthesizeStack(t, nil, func(stack awscdk.Stack) {
			infra.NewImageBuilder(stack, jsii.String("One"), nil)
			infra.NewImageBuilder(stack, jsii.String("Two"), nil)
		})
	})
	if !strings.Contains(message, "OutputPrefix") {
		t.Errorf("panic: %q, want the prop that helps", message)
	}
}

func TestConstructorPanicsWithThePropsErrorAlone(t *testing.T) {
	props := &infra.ImageBuilderProps{ProjectName: jsii.String("no spaces"), Timeout: minutes(1)}
	message := panicOf(func() { synthesize(t, props) })
	if want := props.Validate().Error(); message != want {
		t.Errorf("panic: %q, want %q", message, want)
	}
}

func TestDerivedNameThatClashesIsFound(t *testing.T) {
	message := panicOf(func() {
		synthesize(t, &infra.ImageBuilderProps{Repositories: jsii.Strings("stack-builder-403edd3e-cache")})
	})
	if !strings.Contains(message, "Repositories[0]") || !strings.Contains(message, "CacheRepositoryName") {
		t.Errorf("panic: %q, want both props", message)
	}
}

// panicOf returns the message of the error that f panics with.
func panicOf(f func()) (message string) {
	defer func() {
		if err, ok := recover().(error); ok {
			message = err.Error()
		}
	}()
	f()
	return ""
}
