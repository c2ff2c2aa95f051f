package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/runner"
)

// Start an engine, deploy the default stack, and use it as AWS.
func Example() {
	// A program calls local.StandIn() first in main, and a test in TestMain.
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example") // local.DefaultDir() is the command's
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	engine, err := local.Start(ctx, local.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	if err := local.Deploy(ctx, engine.Endpoint().Config(), "flexbuild", flexbuild.Template); err != nil {
		fmt.Println(err)
		return
	}
	client, err := runner.New(ctx, engine.Endpoint().Config(), "flexbuild") // as with AWS
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Stack().ProjectName, client.Stack().RepositoryNames)
	// Output: flexbuild [app]
}

// Another process finds a running engine by its state directory.
func ExampleReadEndpoint() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	_, err = local.ReadEndpoint(dir)
	fmt.Println(errors.Is(err, local.ErrNotRunning))
	// Output: true
}
