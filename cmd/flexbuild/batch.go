package main

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// batchOptions are the flags of batch.
type batchOptions struct {
	*target
	parallel    int
	runID, logs string
	json        bool
	queueWait   time.Duration
}

func newBatch(t *target) *cobra.Command {
	o := &batchOptions{target: t}
	cmd := &cobra.Command{
		Use:   "batch FILE",
		Short: "Build many images",
		Long: `Build everything that FILE lists ("-" for stdin), and print each image with its key
on stdout as soon as it is pushed. FILE holds lines of JSON, or a YAML list. The fields
are those of build's flags; source and tags are required:

  {"source": "https://github.com/org/api.git#v1", "tags": ["api:1"]}
  {"source": "./web", "tags": ["web:1"], "build-args": {"V": "1"}, "key": "web"}

Everything that is wrong with FILE is reported before anything is built. A build
that fails does not end the others. Ctrl-C stops them all. The run id, which is
printed at the beginning, continues the batch:

  flexbuild batch FILE --run-id ID`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&o.parallel, "max-parallel", batch.DefaultParallel, "most builds at the same time")
	flags.StringVar(&o.runID, "run-id", "", "name of this run: builds of an earlier run of that name are not repeated if they succeeded, and joined if they still run (default a new one)")
	flags.StringVar(&o.logs, "logs", "", "write each build's log to a file in this directory")
	flags.DurationVar(&o.queueWait, "queue-wait", 10*time.Minute, "wait this long for room when the build queue is full; 0 to fail at once")
	flags.BoolVar(&o.json, "json", false, "print a line of JSON for each outcome on stdout")
	return cmd
}

// errSomeFailed means that some builds of a batch or a wait did not succeed. It
// has an exit code of its own.
var errSomeFailed = errors.New("some builds failed")

func (o *batchOptions) run(cmd *cobra.Command, file string) error {
	if o.parallel < 1 {
		return usagef("--max-parallel %d: give at least 1", o.parallel)
	}
	entries, err := readEntries(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	keys, all, err := requests(entries)
	if err != nil {
		return err
	}
	logs, err := newBatchLogs(o.logs, keys)
	if err != nil {
		return err
	}
	client, err := o.client(cmd.Context(), runner.WithQueueWait(o.queueWait))
	if err != nil {
		return err
	}
	if err := checkAll(client, keys, all); err != nil {
		return err
	}
	var tags []string
	for _, key := range keys {
		tags = append(tags, all[key].Tags...)
	}
	if err := o.checkRepositories(cmd.Context(), client.Stack(), tags); err != nil {
		return err
	}
	return o.build(cmd, client, keys, all, logs)
}

// checkAll checks all requests against the stack before anything is built.
func checkAll(client *runner.Client, keys []string, all map[string]runner.Request) error {
	var problems []error
	for _, key := range keys {
		if err := client.Check(all[key]); err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", key, inFields(err)))
		}
	}
	if len(problems) > 0 {
		return usagef("nothing was built:\n%w", errors.Join(problems...))
	}
	return nil
}

func (o *batchOptions) build(cmd *cobra.Command, client *runner.Client, keys []string, all map[string]runner.Request, logs *batchLogs) error {
	options := []batch.Option{batch.WithParallel(o.parallel)}
	id := o.runID
	if id == "" {
		id = uuid.NewString()
		fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: run %s; if it is interrupted, it goes on with --run-id %s\n", id, id)
	}
	options = append(options, batch.WithRunID(id))
	if o.logs != "" {
		options = append(options, batch.WithLogMode(runner.LogFollow))
	}
	board := newBoard(cmd.ErrOrStderr(), len(keys))
	defer board.close()
	options = append(options, batch.WithEvents(func(key string, e runner.Event) {
		o.interruption.see(e)
		logs.write(key, e)
		board.see(key, e)
	}))
	failed := 0
	for key, outcome := range batch.RunAll(cmd.Context(), client, inOrder(keys, all), options...) {
		board.done(key, outcome)
		if outcome.Err != nil {
			failed++
		}
		if err := o.print(cmd, key, outcome); err != nil {
			return err
		}
	}
	board.close()
	if err := cmd.Context().Err(); err != nil {
		return fmt.Errorf("%w: go on with --run-id %s", err, id)
	}
	if err := logs.close(); err != nil {
		return fmt.Errorf("all is built, but a log could not be written: %w", err)
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d; build them again with --run-id %s", errSomeFailed, failed, len(keys), id)
	}
	return nil
}

func inOrder(keys []string, all map[string]runner.Request) iter.Seq2[string, runner.Request] {
	return func(yield func(string, runner.Request) bool) {
		for _, key := range keys {
			if !yield(key, all[key]) {
				return
			}
		}
	}
}

// outcomeJSON is the JSON form of an outcome.
type outcomeJSON struct {
	Key    string         `json:"key"`
	Reused bool           `json:"reused,omitempty"`
	Error  string         `json:"error,omitempty"`
	Result *runner.Result `json:"result,omitempty"`
}

func (o *batchOptions) print(cmd *cobra.Command, key string, outcome batch.Outcome) (err error) {
	switch out := cmd.OutOrStdout(); {
	case o.json:
		line := outcomeJSON{Key: key, Reused: outcome.Reused, Result: outcome.Result}
		if outcome.Err != nil {
			line.Error = outcome.Err.Error()
		}
		err = printJSON(out, line)
	case outcome.Err == nil:
		_, err = fmt.Fprintf(out, "%s\t%s\n", oneLine(key), outcome.Result.ImageURI)
	}
	return err
}

// oneLine replaces what a line cannot show in a key.
func oneLine(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Sprintf("%q", key)
	}
	return key
}
