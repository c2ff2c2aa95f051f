package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newStatus(t *target) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "status BUILD",
		Short: "Print the state of a build, and why it failed",
		Example: `  flexbuild status BUILD
  flexbuild status BUILD --json | jq -r .reason`,
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
			info, err := status(cmd, build)
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd.OutOrStdout(), t.withoutConsole(info))
			}
			info.LogURL = t.logOf(cmd, info.BuildID, info.LogURL)
			return printStatus(cmd.OutOrStdout(), info)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// status returns the state of the build. It also reads the log of a build that
// did not succeed, because the log has the reason. A log that cannot be read is
// not an error.
func status(cmd *cobra.Command, build *runner.Build) (runner.Info, error) {
	info, err := build.Info(cmd.Context())
	if err != nil || info.Err() == nil {
		return info, err
	}
	result, err := build.Wait(cmd.Context()) // the build has ended, so this reads the end of the log
	var failed *runner.BuildError
	if !errors.As(err, &failed) {
		return info, err
	}
	if failed.LogErr != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "flexbuild: note: the log may know more of why it failed, but:", failed.LogErr)
	}
	return result.Info, nil
}

func printStatus(w io.Writer, info runner.Info) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	row("build", info.BuildID)
	row("status", string(info.Status))
	row("reason", info.Reason)
	row("source", info.Source)
	row("ref", info.Ref)
	row("commit", info.Commit)
	row("tags", strings.Join(info.Tags, " "))
	row("started", info.Started.Local().Format(time.RFC3339))
	row("took", took(info))
	row("image", info.ImageURI)
	row("log", info.LogURL)
	for _, phase := range info.Phases {
		status, duration := phase.Status, phase.Duration
		if status == "" && !info.Done() {
			status, duration = runner.InProgress, time.Since(phase.Started)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", phase.Name, status, seconds(duration))
	}
	return table.Flush()
}
