package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newLocalWait(t *target) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the local engine runs and has the stack",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.local = true
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("it is not ready after %v", timeout))
			defer cancel()
			return waitUntilReady(ctx, t)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this long")
	return cmd
}

// waitUntilReady returns why the engine is not ready, if it does not become so.
func waitUntilReady(ctx context.Context, t *target) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := t.client(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the local engine: %w: %w", context.Cause(ctx), err)
		}
	}
}
