package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// DefaultStackName is the name of the default stack, which flexbuild's command
// looks for.
const DefaultStackName = "flexbuild"

// DefaultProps are the props of the default stack: builds push to a repository
// called app, which it creates, and to whatever is under flexbuild/.
func DefaultProps() *ImageBuilderProps {
	props, err := Context(func(string) any { return nil }).Props()
	must(err)
	return props
}

// NewStack adds a stack of that name with nothing but an image builder. It can
// be deployed to an account and region that were never bootstrapped: the stack
// has no assets, and is deployed with the caller's own permissions.
func NewStack(scope constructs.Construct, name *string, props *ImageBuilderProps) (awscdk.Stack, ImageBuilder) {
	must(props.Validate())
	stack := awscdk.NewStack(scope, name, &awscdk.StackProps{
		Description: jsii.String("flexbuild: image builds as a service on AWS CodeBuild"),
		// The CDK's newer synthesizers deploy with roles, or through a bucket, that
		// bootstrapping makes; even BootstraplessSynthesizer names its roles.
		Synthesizer: awscdk.NewLegacyStackSynthesizer(),
	})
	return stack, NewImageBuilder(stack, jsii.String("Builder"), props)
}
