package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// DefaultProps returns the props of the default stack: builds push to a
// repository called app, which the stack creates, and to all repositories under
// flexbuild/.
func DefaultProps() *ImageBuilderProps {
	props, err := Context(func(string) any { return nil }).Props()
	must(err)
	return props
}

// StackProps are the properties of a stack with nothing but an image builder.
type StackProps struct {
	// StackProps are those of any stack of the CDK. A Description and a
	// Synthesizer that needs no bootstrapping are the default.
	awscdk.StackProps

	// Builder are the props of the image builder. Default: those of
	// NewImageBuilder.
	Builder *ImageBuilderProps
}

// NewStack adds a stack of that name with nothing but an image builder. Unless
// it has a Synthesizer of its own, it can be deployed to an account and region
// that were never bootstrapped: the stack has no assets, and is deployed with
// the caller's own permissions. props may be nil.
func NewStack(scope constructs.Construct, name *string, props *StackProps) (awscdk.Stack, ImageBuilder) {
	given := or(props, StackProps{})
	must(given.Builder.Validate())
	if given.Description == nil {
		given.Description = jsii.String("flexbuild: image builds as a service on AWS CodeBuild")
	}
	if given.Synthesizer == nil {
		// The CDK's newer synthesizers deploy with roles, or through a bucket,
		// that bootstrapping makes; even BootstraplessSynthesizer names its
		// roles.
		given.Synthesizer = awscdk.NewLegacyStackSynthesizer()
	}
	stack := awscdk.NewStack(scope, name, &given.StackProps)
	return stack, NewImageBuilder(stack, jsii.String("Builder"), given.Builder)
}
