// Command cdk-app is a CDK app of somebody's own that imports flexbuild's image
// builder into its stack, next to what else that stack has:
//
//	npx aws-cdk@2.1148.1 deploy
//	flexbuild build --stack platform https://github.com/org/repo.git -t team/api:1
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	newPlatform(app, "platform")
	app.Synth(nil)
}

// newPlatform adds a stack in which a nightly job builds two images and writes
// down what it built.
func newPlatform(scope constructs.Construct, name string) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(name), &awscdk.StackProps{
		// Leave this out in an account that is bootstrapped for the CDK.
		Synthesizer: awscdk.NewLegacyStackSynthesizer(),
	})
	releases := awss3.NewBucket(stack, jsii.String("Releases"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		EnforceSSL:        jsii.Bool(true),
	})
	nightly := awsiam.NewRole(stack, jsii.String("Nightly"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), nil),
	})

	builder := infra.NewImageBuilder(stack, jsii.String("Images"), &infra.ImageBuilderProps{
		ProjectName:  jsii.String("team-images"),
		Repositories: jsii.Strings("team/api", "team/web"),
	})
	builder.GrantStart(nightly, nil)
	builder.GrantPull(nightly)
	releases.GrantPut(nightly, nil)
	return stack
}
