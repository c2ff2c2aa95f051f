package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local"
)

func newLocal(t *target) *cobra.Command {
	var addr string
	var noDeploy bool
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the local engine",
		Long: `Serve the AWS APIs that flexbuild needs on 127.0.0.1 and really build and push
images on this machine, until interrupted. The default stack is deployed if the
engine has none of its name.

Builds run as you: build only what you trust.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, t, addr, !noDeploy)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "address to listen on (default the last one, at first a free port of 127.0.0.1)")
	cmd.Flags().BoolVar(&noDeploy, "no-deploy", false, "do not deploy the default stack")
	cmd.AddCommand(newLocalEnv(t), newLocalDeploy(t), newLocalWait(t))
	return cmd
}

func serve(cmd *cobra.Command, t *target, addr string, deployStack bool) (err error) {
	ctx := cmd.Context()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: "+format+"\n", args...) }
	prepare := func(ctx context.Context, endpoint local.Endpoint) error {
		say("local engine at %s, state in %s", endpoint.URL, t.stateDir)
		if !deployStack {
			return nil
		}
		err := local.DeployIfAbsent(ctx, endpoint.Config(), t.stack, flexbuild.Template)
		if err == nil {
			say("stack %s is deployed", t.stack)
		}
		return err
	}
	engine, err := local.Start(ctx, local.Options{Dir: t.stateDir, Addr: addr, Region: t.region, Prepare: prepare, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if runtime.GOARCH != "amd64" {
		say("this machine is %[1]s: builds run natively and make linux/%[1]s images", runtime.GOARCH)
	}
	if err := engine.CheckBuilder(ctx); err != nil && ctx.Err() == nil {
		say("builds will fail: %v", err)
	}
	<-ctx.Done()
	return nil
}
