package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newLogs(t *target) *cobra.Command {
	var follow, raw, json, exitStatus bool
	cmd := &cobra.Command{
		Use:   "logs BUILD",
		Short: "Print a build's log",
		Long: `Print the log of a build (its id, project:uuid or the uuid alone) on stdout:
its own lines, or with --raw also those of CodeBuild's agent. With --follow and
--exit-status, the exit code is that of build.`,
		Args: exactArgs("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if exitStatus && !follow {
				return usagef("--exit-status needs --follow: a build that still runs has no exit status")
			}
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			var options []runner.LogOption
			if follow {
				options = append(options, runner.Follow())
			}
			build := client.Build(args[0])
			if err := printLog(cmd, build, options, logPrinter(cmd, raw, json)); err != nil || !exitStatus {
				return err
			}
			_, err = build.Wait(cmd.Context()) // the build has ended, so this returns at once
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	cmd.Flags().BoolVar(&exitStatus, "exit-status", false, "with --follow: exit as build would have")
	cmd.Flags().BoolVar(&raw, "raw", false, "print every line as it is")
	cmd.Flags().BoolVar(&json, "json", false, "print a line of JSON for each line of the log")
	return cmd
}

// printLog prints the log, and says if it may be incomplete, which is not an
// error.
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
