package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/user"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local"
)

func newLocal(t *target) *cobra.Command {
	var addr string
	var noDeploy, awsLimits bool
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the local engine",
		Long: `Serve the AWS APIs that flexbuild needs on 127.0.0.1 and really build and push
images on this machine, until interrupted. The default stack is deployed if the
engine has none of its name. The first push to flexbuild/NAME creates that
repository.

Builds run as you: build only what you trust.`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, t, local.Options{Addr: addr, AWSLimits: awsLimits}, !noDeploy)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "address to listen on (default the last one, at first a free port of 127.0.0.1)")
	cmd.Flags().BoolVar(&noDeploy, "no-deploy", false, "do not deploy the default stack")
	cmd.Flags().BoolVar(&awsLimits, "aws-limits", false, "run one build at a time and throttle calls, as AWS does with a new account")
	cmd.AddCommand(newLocalEnv(t), newLocalDeploy(t), newLocalWait(t))
	return cmd
}

func serve(cmd *cobra.Command, t *target, options local.Options, deployStack bool) (err error) {
	ctx := cmd.Context()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: "+format+"\n", args...) }
	prepare := func(ctx context.Context, endpoint local.Endpoint) error {
		say("local engine at %s, state in %s", endpoint.URL, t.stateDir)
		if !deployStack {
			return nil
		}
		err := local.DeployIfAbsent(ctx, endpoint.Config(), t.stack, flexbuild.Template, engineParameters)
		if err == nil {
			say("stack %s is deployed", t.stack)
		}
		return err
	}
	options.Dir, options.Region, options.Prepare, options.Log = t.stateDir, t.region, prepare, log
	engine, err := local.Start(ctx, options)
	if err != nil {
		return err
	}
	say("builds run as %s on this machine, without isolation. They make linux/%s images. Sizes are recorded only, and images are not scanned", userName(), runtime.GOARCH)
	if err := engine.CheckBuilder(ctx); err != nil && ctx.Err() == nil {
		say("builds will fail: %v", err)
	}
	<-ctx.Done()
	ended := runningBuilds(context.WithoutCancel(ctx), engine.Endpoint())
	err = engine.Close()
	if len(ended) > 0 {
		say("ended %d builds, which are FAULT now: %s", len(ended), strings.Join(ended, " "))
	}
	say("stopped; stacks, images and logs stay in %s", t.stateDir)
	return err
}

// engineParameters are the parameters of the default stack on the engine, where
// nobody has to be asked before a push creates a repository.
var engineParameters = map[string]string{"CreateRepositoriesOnPush": "true"}

// userName returns the name of the user as whom builds run.
func userName() string {
	current, err := user.Current()
	if err != nil {
		return "you"
	}
	return current.Username
}

// runningBuilds returns the ids of the builds that the end of the engine ends.
// It returns none if the engine does not answer.
func runningBuilds(ctx context.Context, endpoint local.Endpoint) (ids []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client := codebuild.NewFromConfig(endpoint.Config())
	page, err := client.ListBuilds(ctx, &codebuild.ListBuildsInput{})
	if err != nil || len(page.Ids) == 0 {
		return nil
	}
	found, err := client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: page.Ids}) // the last hundred
	if err != nil {
		return nil
	}
	for _, build := range found.Builds {
		if build.BuildStatus == types.StatusTypeInProgress {
			ids = append(ids, aws.ToString(build.Id))
		}
	}
	return ids
}
