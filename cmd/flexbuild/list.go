package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newList(t *target) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the project's builds, newest first",
		Example: `  flexbuild list --status failed --since 24h
  flexbuild list --json --limit 100 | jq -r 'select(.tags | index("app:1")) | .imageUri'`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, t) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print a line of JSON for each build")
	cmd.Flags().IntVarP(&o.limit, "limit", "n", 20, "list at most this many builds")
	cmd.Flags().StringSliceVar(&o.statuses, "status", nil, "list builds of this status only: in-progress, succeeded, failed, fault, timed-out or stopped; repeatable")
	cmd.Flags().StringVar(&o.since, "since", "", "list builds that were started since: a duration such as 90m or 7d, or a time such as 2006-01-02 or 2006-01-02T15:04:05Z")
	return cmd
}

// listOptions are the flags of list.
type listOptions struct {
	json     bool
	limit    int
	statuses []string
	since    string
}

func (o *listOptions) run(cmd *cobra.Command, t *target) error {
	if o.limit < 1 {
		return usagef("--limit %d: must be at least 1", o.limit)
	}
	since, err := parseSince(o.since, time.Now())
	if err != nil {
		return err
	}
	hasStatus, err := parseStatuses(o.statuses)
	if err != nil {
		return err
	}
	client, err := t.client(cmd.Context())
	if err != nil {
		return err
	}
	print, flush := listPrinter(cmd.OutOrStdout(), o.json)
	count := 0
	for info, err := range client.List(cmd.Context()) {
		if err != nil {
			return errors.Join(err, flush()) // the builds that were found are shown nevertheless
		}
		if info.Started.Before(since) || count == o.limit {
			break
		}
		if !hasStatus(info.Status) {
			continue
		}
		if err := print(t.withoutConsole(info)); err != nil {
			return err
		}
		count++
	}
	return flush()
}

var statuses = []runner.Status{runner.InProgress, runner.Succeeded, runner.Failed, runner.Fault, runner.TimedOut, runner.Stopped}

// parseStatuses returns a function that reports whether a status is one of
// those that are named. Without names, every status is.
func parseStatuses(names []string) (func(runner.Status) bool, error) {
	var wanted []runner.Status
	for _, name := range names {
		status := runner.Status(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		if !slices.Contains(statuses, status) {
			return nil, usagef("--status %q: give one of %s", name, strings.Join(statusWords(), ", "))
		}
		wanted = append(wanted, status)
	}
	return func(status runner.Status) bool { return len(wanted) == 0 || slices.Contains(wanted, status) }, nil
}

// statusWords returns the statuses as --status takes them.
func statusWords() (words []string) {
	for _, status := range statuses {
		words = append(words, strings.ToLower(strings.ReplaceAll(string(status), "_", "-")))
	}
	return words
}

// parseSince reads a point in time, or a duration before now. An empty text is
// the beginning of time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	return time.Time{}, usagef("--since %q: give a duration such as 90m or 7d, or a time such as 2006-01-02 or 2006-01-02T15:04:05Z", text)
}

func listPrinter(w io.Writer, json bool) (print func(runner.Info) error, flush func() error) {
	if json {
		return func(info runner.Info) error { return printJSON(w, info) }, func() error { return nil }
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUILD\tSTATUS\tPHASE\tSTARTED\tTOOK\tTAGS")
	return func(info runner.Info) error {
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", info.BuildID, info.Status, info.Phase,
			info.Started.Local().Format(time.DateTime), took(info), strings.Join(info.Tags, " "))
		return err
	}, table.Flush
}

// took returns how long a build has taken, up to now if it runs.
func took(info runner.Info) string {
	if info.Ended.IsZero() {
		return elapsed(time.Since(info.Started))
	}
	return seconds(info.Ended.Sub(info.Started))
}
