// Command flexbuild builds container images on AWS CodeBuild, or on the local
// engine that behaves like it.
//
//	flexbuild build https://github.com/org/repo.git -t app:1
//
// docs/command.md lists its commands, flags and exit codes.
package main

import (
	"context"
	"os"

	"github.com/codebuild-flex/flexbuild/local"
)

func main() {
	local.StandIn()
	os.Exit(run(context.Background(), os.Args[1:]))
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string) int {
	ctx, interruption := untilInterrupted(ctx)
	defer interruption.stop()
	root := newRoot(interruption)
	root.SetArgs(args)
	root.SetOut(interruption.output(os.Stdout))
	root.SetErr(interruption.output(os.Stderr))
	return exitCode(root.ErrOrStderr(), root.ExecuteContext(ctx))
}
