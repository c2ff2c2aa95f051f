package infra_test

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

// An image builder in a stack of your own, and a role that may start builds.
func Example() {
	app, stack, remove := exampleStack()
	defer remove()

	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName:  jsii.String("team-images"),
		Repositories: jsii.Strings("team/api", "team/web"),
	})
	orchestrator := awsiam.NewRole(stack, jsii.String("Orchestrator"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), nil),
	})
	builder.GrantStart(orchestrator, nil)

	assembly := app.Synth(nil)
	fmt.Println(len(*assembly.Stacks()), "stack;", len(builder.Repositories()), "repositories")
	// Output: 1 stack; 2 repositories
}

// A builder that teams share: one of them, the administrators, a secret of the
// builds, and an image that is built again every night.
func Example_teams() {
	app, stack, remove := exampleStack()
	defer remove()

	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName:  jsii.String("shared-images"),
		Repositories: jsii.Strings("team/api", "team-a/web"),
	})
	role := awsiam.NewRole(stack, jsii.String("TeamA"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	builder.GrantStart(role, &infra.StartLimits{
		Repositories:   jsii.Strings("team-a/*"),
		Sources:        jsii.Strings("https://github.com/acme/*"),
		Team:           jsii.String("team-a"),
		MaxComputeType: awscodebuild.ComputeType_MEDIUM,
	})
	administrators := awsiam.NewRole(stack, jsii.String("Administrators"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	builder.GrantStart(administrators, &infra.StartLimits{AllowOverrides: jsii.Bool(true)})

	token := awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("Token"), jsii.String("team/npm-token"))
	builder.AllowSecret(token)

	builder.RebuildOn(jsii.String("Nightly"),
		awsscheduler.ScheduleExpression_Cron(&awsscheduler.CronOptionsWithTimezone{
			Hour: jsii.String("3"), Minute: jsii.String("0"), TimeZone: awscdk.TimeZone_EUROPE_BERLIN(),
		}),
		&infra.RebuildRequest{Params: buildspec.Params{
			Tags:   []string{"team/api:nightly"},
			GitURL: "https://github.com/acme/api",
			GitRef: "main",
			Pull:   true,
		}})

	assembly := app.Synth(nil)
	fmt.Println(len(*assembly.Stacks()), "stack")
	// Output: 1 stack
}

// A role that the workflows of one branch on GitHub can assume, and that can
// build their repository and nothing else.
func Example_githubActions() {
	app, stack, remove := exampleStack()
	defer remove()

	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		Repositories: jsii.Strings("team/api"),
	})
	github := jsii.String("arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com")
	role := awsiam.NewRole(stack, jsii.String("GitHub"), &awsiam.RoleProps{
		RoleName: jsii.String("flexbuild-github"),
		AssumedBy: awsiam.NewWebIdentityPrincipal(github, &map[string]any{
			"StringEquals": map[string]any{
				"token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
				"token.actions.githubusercontent.com:sub": "repo:acme/api:ref:refs/heads/main",
			},
		}),
	})
	builder.GrantStart(role, &infra.StartLimits{
		Sources: jsii.Strings("https://github.com/acme/api.git"),
	})

	assembly := app.Synth(nil)
	fmt.Println(len(*assembly.Stacks()), "stack")
	// Output: 1 stack
}

// The builder of another app, by the outputs of its stack.
func ExampleFromStackOutputs() {
	app, stack, remove := exampleStack()
	defer remove()

	outputs := map[string]string{ // of aws cloudformation describe-stacks
		buildspec.OutputContractVersion:     buildspec.Version,
		buildspec.OutputProjectName:         "team-images",
		buildspec.OutputLogGroupName:        "/aws/codebuild/team-images",
		buildspec.OutputSourceBucketName:    "platform-sources-1a2b3c",
		buildspec.OutputCacheRepositoryName: "team-images-cache",
	}
	builder := infra.FromStackOutputs(stack, jsii.String("Builder"), jsii.String("platform"), outputs)
	watcher := awsiam.NewRole(stack, jsii.String("Watcher"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	builder.GrantRead(watcher)

	assembly := app.Synth(nil)
	fmt.Println(len(*assembly.Stacks()), "stack")
	// Output: 1 stack
}

// A builder that pushes to the registry of another region and account too, and
// whose images others may pull.
func ExampleImageBuilder_allowPush() {
	app, stack, remove := exampleStack()
	defer remove()

	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		Repositories: jsii.Strings("team/api"),
		PullPrincipals: &[]awsiam.IPrincipal{
			awsiam.NewAccountPrincipal("210987654321"),
			awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), &awsiam.ServicePrincipalOpts{
				Conditions: &map[string]any{"StringLike": map[string]any{"aws:sourceArn": "arn:aws:lambda:*:210987654321:function:*"}},
			}),
		},
	})
	builder.AllowPush(awsecr.Repository_FromRepositoryArn(stack, jsii.String("Frankfurt"),
		jsii.String("arn:aws:ecr:eu-central-1:210987654321:repository/team/api")))
	schedule := awsscheduler.ScheduleExpression_Rate(awscdk.Duration_Days(jsii.Number(1)))
	builder.RebuildOn(jsii.String("Nightly"), schedule, &infra.RebuildRequest{Params: buildspec.Params{
		Tags: []string{"team/api:nightly"}, Region: "eu-central-1", Account: "210987654321",
		GitURL: "https://github.com/acme/api",
	}})

	assembly := app.Synth(nil)
	fmt.Println(len(*assembly.Stacks()), "stack")
	// Output: 1 stack
}

// Where base images of Docker Hub come from.
func ExampleImageBuilderProps_dockerHubMirrors() {
	for _, props := range []*infra.ImageBuilderProps{
		{
			DockerHubMirrors: jsii.Strings("public.ecr.aws/docker"), // Docker Official Images only
		}, {
			DockerHubMirrors: jsii.Strings("registry.example.com:5000/hub"), // a mirror of your own
		}, {
			DockerHubMirrors: jsii.Strings(), // Docker Hub itself
		},
	} {
		fmt.Println(len(*props.DockerHubMirrors), props.Validate())
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 0 <nil>
}

// exampleStack returns an app with a stack, and what removes its files.
func exampleStack() (awscdk.App, awscdk.Stack, func()) {
	dir, err := os.MkdirTemp("", "cdk.out")
	if err != nil {
		panic(err)
	}
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(dir)})
	return app, awscdk.NewStack(app, jsii.String("images"), nil), func() { os.RemoveAll(dir) }
}
