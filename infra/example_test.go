package infra_test

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// An image builder in a stack of your own, and a role that may start builds.
func Example() {
	dir, err := os.MkdirTemp("", "cdk.out")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(dir)})
	stack := awscdk.NewStack(app, jsii.String("images"), nil)

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
