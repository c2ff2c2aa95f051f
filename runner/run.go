package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// RunOption changes what [Client.Run] reports and what it does when its context
// ends.
type RunOption interface{ applyToRun(*runOptions) }

// StartOption is a RunOption that [Client.Start] accepts too.
type StartOption interface {
	RunOption
	appliesToStart()
}

type (
	runOption   func(*runOptions)
	startOption func(*runOptions)
)

func (o runOption) applyToRun(r *runOptions)   { o(r) }
func (o startOption) applyToRun(r *runOptions) { o(r) }
func (o startOption) appliesToStart()          {}

type runOptions struct {
	see      []func(Event)
	mode     LogMode
	wholeLog bool
	leave    bool
	retries  int
}

func (o *runOptions) emit(e Event) {
	for _, see := range o.see {
		see(e)
	}
}

// WithEvents calls see with each event, from one goroutine and in the order of
// [Build.Events]. With Start, the events are those until the build is started.
// A slow see delays the events, not the build.
func WithEvents(see func(Event)) StartOption {
	return startOption(func(o *runOptions) { o.see = append(o.see, see) })
}

// WithLogs writes the build's own output and the script's notes to w, line by
// line, while the build runs. It leaves out the agent's lines, and ignores the
// errors of w. Run then returns when it has read the whole log, which can be
// some seconds after the build's end.
func WithLogs(w io.Writer) RunOption {
	return runOption(func(o *runOptions) {
		o.mode, o.wholeLog = LogFollow, true
		o.see = append(o.see, func(e Event) {
			if e.Type == EventLog && e.Line.Own() {
				fmt.Fprintln(w, e.Line.Text)
			}
		})
	})
}

// WithLogMode selects which logs Run reads. The default is [LogFailures], or
// [LogFollow] if there is a [WithLogs]. With LogFollow, the events include the
// lines of the log, and Run returns after the [EventLogEnd].
func WithLogMode(mode LogMode) RunOption {
	return runOption(func(o *runOptions) { o.mode, o.wholeLog = mode, mode == LogFollow })
}

// WithLeaveOnCancel leaves the build running when the context ends. Without it,
// Run stops the build.
func WithLeaveOnCancel() RunOption { return runOption(func(o *runOptions) { o.leave = true }) }

// WithRetries sets how many more builds Run starts, one after the other, if a
// build ends by a fault of the infrastructure: a FAULT, no machine
// (PROVISIONING), or a source that could not be downloaded because of the
// network. The default is 1. Run never repeats a build because of a failed
// Dockerfile, a wrong source or a time limit.
func WithRetries(most int) RunOption { return runOption(func(o *runOptions) { o.retries = most }) }

// run is one call of Run.
type run struct {
	runOptions
	client *Client
}

// Run starts a build, waits for it and returns its result. If the build does
// not succeed, Run returns a *[BuildError] and the result.
//
// When the context ends, Run stops the build and waits at most 2 minutes until
// it has stopped. It then returns an error that wraps the context's error
// (errors.Is(err, context.Canceled)), names the build and says whether it
// stopped.
func (c *Client) Run(ctx context.Context, req Request, opts ...RunOption) (*Result, error) {
	r := &run{runOptions{mode: LogFailures, retries: 1}, c}
	for _, opt := range opts {
		opt.applyToRun(&r.runOptions)
	}
	var attempts []Info
	for {
		result, err := r.attempt(ctx, req)
		if result == nil {
			return nil, err
		}
		result.Attempts = attempts
		if ctx.Err() != nil || len(attempts) >= r.retries || !canBeRepeated(req.Source) || !result.isInfrastructureFault() {
			return result, err
		}
		attempts = append(attempts, result.Info)
		req.IdempotencyToken = nextToken(req.IdempotencyToken)
		r.emit(withBuild(note("%v: a fault of the infrastructure: starting another build", err), result.BuildID))
	}
}

// nextToken returns the idempotency token of the next attempt. It is derived
// from the caller's token, so that a repeated Run makes the same attempts.
func nextToken(token string) string {
	if token == "" {
		return ""
	}
	return hashOf(token)
}

// attempt starts a build and waits for it.
func (r *run) attempt(ctx context.Context, req Request) (*Result, error) {
	b, err := r.client.start(ctx, req, r.emit)
	if err != nil {
		return nil, err
	}
	result, err := r.await(ctx, b)
	switch {
	case ctx.Err() != nil && err != nil && isCancel(err):
		return r.abandon(ctx, b)
	case errors.Is(err, ErrBuildNotFound):
		return nil, r.stopLost(ctx, b, err)
	}
	return result, err
}

func (r *run) await(ctx context.Context, b *Build) (result *Result, err error) {
	for event, err := range b.Events(ctx, r.mode) {
		if err != nil {
			return nil, err
		}
		if result != nil && event.Type == EventLogEnd {
			result.LogsComplete = event.LogsComplete
		}
		r.emit(event)
		if event.Type == EventFinished {
			result = event.Result
			if !r.wholeLog {
				break
			}
		}
	}
	if result == nil {
		return nil, fmt.Errorf("wait for build %s: its events ended early", b.id) // Events always yields a result or an error
	}
	return result, result.Err()
}

// networkFaults matches messages of CodeBuild or git about a source that cannot
// be downloaded at present.
var networkFaults = lazyregexp.New(`(?i)timed? ?out|timeout|connection (refused|reset)|no such host|could not resolve|temporary failure|not reachable|unexpected EOF|early EOF|TLS handshake|rate exceeded|throttl|\b(429|500|502|503|504)\b`)

// noFaults matches messages about a machine that a second attempt would not get
// either.
var noFaults = lazyregexp.New(`(?i)access ?denied|not authorized|unable to pull|invalid|not found`)

// isInfrastructureFault reports whether the same build is likely to succeed if
// it is started again.
func (r *Result) isInfrastructureFault() bool {
	failed := r.failedPhase()
	switch {
	case r.failure() == nil, r.failure() == ErrStopped, r.failure() == ErrNoDigest:
		return false
	case r.Status == Fault:
		return true
	case failed.Name == "PROVISIONING":
		return !noFaults().MatchString(failed.Reason)
	}
	return failed.Name == "DOWNLOAD_SOURCE" && networkFaults().MatchString(failed.Reason)
}

// stopLost stops a build that was started but that CodeBuild does not know,
// because it may still run.
func (r *run) stopLost(ctx context.Context, b *Build, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceStarted)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return fmt.Errorf("build %s was started, and may go on: %w: it could not be stopped: %w", b.id, cause, err)
	}
	return fmt.Errorf("build %s was started, and is stopped: %w", b.id, cause)
}

// abandon stops a build whose caller's context has ended, unless the caller
// wants it to go on.
func (r *run) abandon(ctx context.Context, b *Build) (*Result, error) {
	cause := ctx.Err()
	if r.leave {
		return nil, fmt.Errorf("%w: build %s goes on", cause, b.id)
	}
	r.emit(withBuild(note("stopping build %s", b.id), b.id))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return nil, fmt.Errorf("%w: build %s may go on: %w", cause, b.id, err)
	}
	info, err := b.follow(ctx, func(update, *Info) bool { return true })
	if err != nil {
		return nil, fmt.Errorf("%w: build %s was asked to stop, but may go on: %w", cause, b.id, err)
	}
	result := &Result{Info: *info}
	r.emit(Event{Type: EventFinished, Time: time.Now().UTC(), BuildID: b.id, Reason: info.Reason, Result: result})
	if err := result.Err(); err != nil {
		return result, fmt.Errorf("%w: %w", cause, err)
	}
	return result, fmt.Errorf("%w: build %s had pushed %s before it could be stopped", cause, b.id, result.ImageURI)
}

func withBuild(e Event, id string) Event {
	e.BuildID = id
	return e
}
