package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newLogs(t *target) *cobra.Command {
	var follow, exitStatus bool
	var o logOptions
	cmd := &cobra.Command{
		Use:   "logs BUILD",
		Short: "Print a build's log",
		Long: `Print the log of a build (its id, project:uuid or the uuid alone) on stdout:
its own lines, or with --raw also those of CodeBuild's agent. With --follow and
--exit-status, the exit code is that of build.`,
		Example: `  flexbuild logs BUILD --follow --exit-status
  flexbuild logs BUILD --since 5m --timestamps`,
		Args: exactArgs("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if exitStatus && !follow {
				return usagef("--exit-status needs --follow: a build that still runs has no exit status")
			}
			since, err := parseSince(o.since, time.Now())
			if err != nil {
				return err
			}
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			var options []runner.LogOption
			if follow {
				options = append(options, runner.Follow())
			}
			build, err := t.build(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			if err := printLog(cmd, build, options, o.printer(cmd, since)); err != nil || !exitStatus {
				return err
			}
			_, err = build.Wait(cmd.Context()) // the build has ended, so this returns at once
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	cmd.Flags().BoolVar(&exitStatus, "exit-status", false, "with --follow: exit as build would have")
	cmd.Flags().BoolVar(&o.raw, "raw", false, "print every line as it is")
	cmd.Flags().BoolVar(&o.json, "json", false, "print a line of JSON for each line of the log")
	cmd.Flags().BoolVar(&o.timestamps, "timestamps", false, "begin each line with its time")
	cmd.Flags().StringVar(&o.since, "since", "", "print lines since: a duration such as 5m, or a time such as 2006-01-02T15:04:05Z")
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

// logOptions are the flags of logs that choose and shape its lines.
type logOptions struct {
	raw, json, timestamps bool
	since                 string
}

func (o *logOptions) printer(cmd *cobra.Command, since time.Time) func(runner.Line) error {
	out := cmd.OutOrStdout()
	return func(line runner.Line) error {
		text := line.Text
		switch {
		case line.Time.Before(since):
			return nil
		case o.json:
			return printJSON(out, line)
		case o.raw:
			text = line.Raw
		case !line.Own():
			return nil
		}
		if o.timestamps {
			text = line.Time.Local().Format("2006-01-02T15:04:05.000Z07:00") + " " + text
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
}
