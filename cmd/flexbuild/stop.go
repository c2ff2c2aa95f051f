package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newStop(t *target) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "stop BUILD",
		Short: "Stop a build and wait until it has stopped",
		Long: `Stop a build, wait until it has ended, and print its final status. A build
that had ended already stays as it is.`,
		Args: exactArgs("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			build, err := t.build(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			if err := build.Stop(cmd.Context()); err != nil {
				return err
			}
			result, err := build.Wait(cmd.Context())
			var ended *runner.BuildError
			if err != nil && !errors.As(err, &ended) {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), t.withoutConsole(result.Info))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), result.Status)
			return err
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print the build's final state as JSON, as status does")
	return cmd
}
