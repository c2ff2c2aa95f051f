package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newLogs(t *target) *cobra.Command {
	var follow, raw, json bool
	cmd := &cobra.Command{
		Use:   "logs BUILD",
		Short: "Print a build's log",
		Long: `Print the log of a build (its id, project:uuid or the uuid alone) on stdout:
its own lines, or with --raw also those of CodeBuild's agent.`,
		Args: exactArgs("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			var options []runner.LogOption
			if follow {
				options = append(options, runner.Follow())
			}
			return printLog(cmd, client.Build(args[0]), options, logPrinter(cmd, raw, json))
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	cmd.Flags().BoolVar(&raw, "raw", false, "print every line as it is")
	cmd.Flags().BoolVar(&json, "json", false, "print a line of JSON for each line of the log")
	return cmd
}

// printLog says so if the log may be incomplete; that is no failure.
func printLog(cmd *cobra.Command, build *runner.Build, options []runner.LogOption, print func(runner.Line) error) error {
	for line, err := range build.Logs(cmd.Context(), options...) {
		if errors.Is(err, runner.ErrLogsIncomplete) {
			fmt.Fprintln(cmd.ErrOrStderr(), "flexbuild: note:", err)
			return nil
		}
		if err != nil {
			return err
		}
		if err := print(line); err != nil {
			return err
		}
	}
	return nil
}

func logPrinter(cmd *cobra.Command, raw, json bool) func(runner.Line) error {
	out := cmd.OutOrStdout()
	return func(line runner.Line) (err error) {
		switch {
		case json:
			return printJSON(out, line)
		case raw:
			_, err = fmt.Fprintln(out, line.Raw)
		case line.Own():
			_, err = fmt.Fprintln(out, line.Text)
		}
		return err
	}
}
