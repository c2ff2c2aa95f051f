package batch_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// Build two repositories with one client.
func Example() {
	ctx := context.Background()
	client, stop := newClient(ctx) // runner.New(ctx, cfg, "flexbuild"), for AWS
	defer stop()

	requests := map[string]runner.Request{
		"api": {Source: runner.Git{URL: "https://github.com/org/api.git"}, Tags: []string{"app:api"}},
		"web": {Source: runner.Git{URL: "https://github.com/org/web.git"}, Tags: []string{"app:web"}},
	}
	var built []string
	for key, outcome := range batch.RunAll(ctx, client, maps.All(requests), batch.WithParallel(50)) {
		if outcome.Err != nil {
			fmt.Println(key, outcome.Err)
			continue
		}
		built = append(built, key)
	}
	slices.Sort(built)
	fmt.Println("built:", strings.Join(built, ", "))
	// Output: built: api, web
}

// newClient returns a client of a local engine that has the default stack and
// only pretends to build.
func newClient(ctx context.Context) (*runner.Client, func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	options := local.Options{Dir: dir, Clock: clockwork.NewRealClock()}
	localtest.SimulateBuilds(nil)(&options)
	engine, err := local.Start(ctx, options)
	if err != nil {
		panic(err)
	}
	stop := func() {
		engine.Close()
		os.RemoveAll(dir)
	}
	if err := local.Deploy(ctx, engine.Endpoint().Config(), buildspec.StackName, flexbuild.Template); err != nil {
		stop()
		panic(err)
	}
	client, err := runner.New(ctx, engine.Endpoint().Config(), buildspec.StackName)
	if err != nil {
		stop()
		panic(err)
	}
	return client, stop
}
