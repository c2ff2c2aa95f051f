package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/local"
)

func newLocalWait(t *target) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the local engine is ready",
		Long: `Wait until the local engine is ready: until it answers and has deployed the
default stack, or was started with --no-deploy. With --stack, wait until it has
that stack too, whoever deploys it.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.local = true
			ready := func(ctx context.Context) error { _, err := t.client(ctx); return err }
			if !cmd.Flag("stack").Changed {
				ready = func(context.Context) error { _, err := local.ReadEndpoint(t.stateDir); return err }
			}
			return waitUntil(cmd.Context(), timeout, ready)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this long")
	return cmd
}

var errNotReady = errors.New("it is not ready")

// waitUntil calls ready until it returns nil, for as long as timeout and at
// least once. It returns the last error that was not caused by the timeout.
func waitUntil(ctx context.Context, timeout time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w after %v", errNotReady, timeout))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var answer error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if answer == nil || ctx.Err() == nil {
			answer = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the local engine: %w: %w", context.Cause(ctx), answer)
		}
	}
}
