// Command orchestrator builds a queue of repositories, and prints the image or
// the reason of the failure for each of them:
//
//	orchestrator -stack flexbuild <queue.jsonl >results.jsonl
//
// The queue is a line of JSON for each job. It may be a pipe that stays open:
// the next line is read when there is room for another build.
//
//	{"id": "api-17", "repository": "https://github.com/org/api.git", "ref": "v1.7", "image": "app:17"}
//
// It shows how a Go program uses package runner. main_test.go shows how such a
// program is tested without AWS.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// A job is a line of the queue.
type job struct {
	ID         string `json:"id"`
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	Image      string `json:"image"` // repository:tag
}

// A result is a line of the output. It has an image or an error.
type result struct {
	ID     string `json:"id"`
	Image  string `json:"image,omitempty"` // registry/repository@digest
	Build  string `json:"build,omitempty"` // CodeBuild's id
	Error  string `json:"error,omitempty"`
	LogURL string `json:"logUrl,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stack := flag.String("stack", "flexbuild", "name of the deployed stack")
	run := flag.String("run", "", "name of this run: with the name of an earlier run, what that one built is not built again")
	parallel := flag.Int("parallel", batch.DefaultParallel, "most builds at the same time")
	flag.Parse()
	if err := start(ctx, *stack, batch.WithRunID(*run), batch.WithParallel(*parallel)); err != nil {
		fmt.Fprintln(os.Stderr, "orchestrator:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, stack string, options ...batch.Option) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client, err := runner.New(ctx, cfg, stack)
	if err != nil {
		return err
	}
	return work(ctx, client, os.Stdin, os.Stdout, options...)
}

// work builds the jobs of the queue until it ends. When ctx ends, work stops
// the builds that it has started, and returns after their results are written.
func work(ctx context.Context, client *runner.Client, in io.Reader, results io.Writer, options ...batch.Option) error {
	queue := &queue{in: in}
	out := json.NewEncoder(results)
	for id, outcome := range batch.RunAll(ctx, client, queue.requests(ctx), options...) {
		if err := out.Encode(newResult(id, outcome)); err != nil {
			return err // leaving the loop stops the builds
		}
	}
	return errors.Join(ctx.Err(), queue.err)
}

// A queue is read as builds find room.
type queue struct {
	in  io.Reader
	err error // why it was not read to its end
}

// requests yields the request of each job, by the job's id, until the queue or
// ctx ends.
func (q *queue) requests(ctx context.Context) iter.Seq2[string, runner.Request] {
	lines := make(chan line)
	go read(ctx, q.in, lines)
	return func(yield func(string, runner.Request) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case next, ok := <-lines:
				if q.err = next.err; !ok || q.err != nil || !yield(next.job.ID, next.job.request()) {
					return
				}
			}
		}
	}
}

// A line of the queue is a job, or the error with which reading it ended.
type line struct {
	job job
	err error
}

// read sends the lines of the queue until it or ctx ends. A read of a pipe
// cannot be interrupted, so that read may outlive ctx by one line.
func read(ctx context.Context, in io.Reader, lines chan<- line) {
	defer close(lines)
	decoder := json.NewDecoder(in)
	for {
		var next line
		if err := decoder.Decode(&next.job); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			next.err = fmt.Errorf("read the queue: %w", err)
		}
		select {
		case lines <- next:
		case <-ctx.Done():
			return
		}
		if next.err != nil {
			return
		}
	}
}

func (j job) request() runner.Request {
	return runner.Request{
		Source:   runner.Git{URL: j.Repository, Ref: j.Ref},
		Tags:     []string{j.Image},
		Metadata: map[string]string{"job": j.ID},
	}
}

// newResult reports in one line why a build failed, and where its log is.
func newResult(id string, outcome batch.Outcome) result {
	r := result{ID: id}
	if outcome.Result != nil {
		r.Build, r.Image, r.LogURL = outcome.Result.BuildID, outcome.Result.ImageURI, outcome.Result.LogURL
	}
	var failed *runner.BuildError
	switch {
	case errors.As(outcome.Err, &failed):
		r.Build, r.Error = failed.BuildID, cmp.Or(failed.Reason, string(failed.Status))
	case outcome.Err != nil:
		r.Error = outcome.Err.Error()
	}
	return r
}
