package runner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing/fstest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// Build a directory and use the image that comes out.
func Example() {
	ctx := context.Background()
	cfg, stop := awsConfig(ctx) // config.LoadDefaultConfig(ctx), for AWS
	defer stop()

	client, err := runner.New(ctx, cfg, "flexbuild")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := client.Run(ctx, runner.Request{
		Source: runner.Dir("../examples/hello"),
		Tags:   []string{"app:1.0", "app:latest"},
	}, runner.WithLogs(os.Stderr))

	var failed *runner.BuildError
	if errors.As(err, &failed) {
		fmt.Println(failed, strings.Join(failed.LastLines, "\n"))
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	repository, _, _ := strings.Cut(result.ImageURI, "@sha256:")
	fmt.Println(result.Status, strings.TrimPrefix(repository, client.Stack().Registry))
	// Output: SUCCEEDED /app
}

// Start a build of a repository, and follow it.
func ExampleBuild_Events() {
	ctx := context.Background()
	cfg, stop := awsConfig(ctx)
	defer stop()

	client, err := runner.New(ctx, cfg, "flexbuild")
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := runner.ParseSource("https://git.example/team/service.git#v1.2:api")
	if err != nil {
		fmt.Println(err)
		return
	}
	build, err := client.Start(ctx, runner.Request{Source: source, Tags: []string{"app:1.2"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range build.Events(ctx, runner.LogFollow) {
		switch {
		case err != nil:
			fmt.Println(err)
		case event.Type == runner.EventPhase && event.Phase.Name == "BUILD" && event.Phase.Status != "":
			fmt.Println(event.Phase.Name, event.Phase.Status)
		case event.Type == runner.EventFinished:
			fmt.Println(event.Result.Status, event.Result.Err())
		}
	}
	// Output:
	// BUILD SUCCEEDED
	// SUCCEEDED <nil>
}

// Find a build again, from any machine, by labels of your own.
func ExampleClient_List() {
	ctx := context.Background()
	cfg, stop := awsConfig(ctx)
	defer stop()

	client, err := runner.New(ctx, cfg, "flexbuild")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Start(ctx, runner.Request{
		Source:   runner.Git{URL: "https://github.com/org/api.git", Ref: "v1.7"},
		Tags:     []string{"app:17"},
		Metadata: map[string]string{"ticket": "17"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for info, err := range client.List(ctx, runner.WithMetadata("ticket", "17")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		result, err := client.Build(info.BuildID).Wait(ctx) // also Info, Logs, Events and Stop
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Tags, result.Ref, result.Status)
	}
	// Output: [app:17] v1.7 SUCCEEDED
}

// Build files that no directory holds, and see what happens meanwhile.
// [runner.Tar] takes an archive instead.
func ExampleFS() {
	ctx := context.Background()
	cfg, stop := awsConfig(ctx)
	defer stop()

	client, err := runner.New(ctx, cfg, "flexbuild")
	if err != nil {
		fmt.Println(err)
		return
	}
	files := fstest.MapFS{ // or an embed.FS
		"Dockerfile": {Data: []byte("FROM scratch\nCOPY motd /\n"), Mode: 0o644},
		"motd":       {Data: []byte("hello\n"), Mode: 0o644},
	}
	request := runner.Request{Source: runner.FS(files), Tags: []string{"app:motd"}}
	if err := client.Check(request); err != nil { // sends nothing
		fmt.Println(err)
		return
	}
	result, err := client.Run(ctx, request, runner.WithEvents(func(e runner.Event) {
		if e.Type == runner.EventUploaded {
			fmt.Println("uploaded", e.Files, "files")
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Status)
	// Output:
	// uploaded 2 files
	// SUCCEEDED
}

// A request that cannot work costs nothing: it is refused before anything is
// sent.
func ExampleParseSource() {
	for _, text := range []string{
		"https://github.com/org/repo.git#v1.2:api",
		"git@github.com:org/repo.git",
		"https://github.com/org/repo.git#main:../elsewhere",
	} {
		source, err := runner.ParseSource(text)
		if errors.Is(err, runner.ErrInvalidRequest) {
			fmt.Println(err)
			continue
		}
		fmt.Println(source)
	}
	// Output:
	// https://github.com/org/repo.git#v1.2:api
	// git@github.com:org/repo.git
	// invalid request: source: "../elsewhere" leads out of the repository: name what is inside of it
}

// awsConfig points the examples at a local engine that has the default stack
// and only pretends to build.
func awsConfig(ctx context.Context) (aws.Config, func()) {
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
	return engine.Endpoint().Config(), stop
}
