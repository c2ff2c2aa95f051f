// Command app synthesizes flexbuild's default stack. The CDK's command runs it,
// as cdk.json says:
//
//	npx aws-cdk@2.1148.1 deploy -c repositories=api,web -c prefix=team/
//
// What -c can set is listed at [infra.Context.Props].
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

func main() {
	err := synthesize()
	jsii.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synthesize() error {
	app := awscdk.NewApp(nil)
	context := infra.Context(func(key string) any { return app.Node().TryGetContext(jsii.String(key)) })
	props, err := context.Props()
	if err != nil {
		return err
	}
	infra.NewStack(app, jsii.String(context.StackName()), &infra.StackProps{Builder: props})
	app.Synth(nil)
	return nil
}
