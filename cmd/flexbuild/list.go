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

func newList(t *target) *cobra.Command {
	var json bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the project's builds, newest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit %d: must be at least 1", limit)
			}
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			print, flush := listPrinter(cmd.OutOrStdout(), json)
			count := 0
			for info, err := range client.List(cmd.Context()) {
				if err != nil {
					return errors.Join(err, flush()) // the builds that were found are shown nevertheless
				}
				if err := print(info); err != nil {
					return err
				}
				if count++; count == limit {
					break
				}
			}
			return flush()
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print a line of JSON for each build")
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "list at most this many builds")
	return cmd
}

func listPrinter(w io.Writer, json bool) (print func(runner.Info) error, flush func() error) {
	if json {
		return func(info runner.Info) error { return printJSON(w, info) }, func() error { return nil }
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUILD\tSTATUS\tPHASE\tSTARTED\tTAGS")
	return func(info runner.Info) error {
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", info.BuildID, info.Status, info.Phase,
			info.Started.Local().Format(time.DateTime), strings.Join(info.Tags, " "))
		return err
	}, table.Flush
}
