package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// RunOption changes what [Client.Run] tells, and what it leaves.
type RunOption interface{ applyToRun(*runOptions) }

// StartOption is a RunOption that [Client.Start] takes too.
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

// WithEvents calls see for everything that happens, from one goroutine and in
// the order of [Build.Events]: with Start, until there is a build. A slow see
// delays the telling, not the build.
func WithEvents(see func(Event)) StartOption {
	return startOption(func(o *runOptions) { o.see = append(o.see, see) })
}

// WithLogs writes the build's own output to w while it runs, a line at a time,
// with the script's remarks and without the agent's lines. What w returns is
// not looked at. Run then returns when it has read the whole log, which can be
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

// WithLogMode says which logs are read; default [LogFailures], and [LogFollow]
// with [WithLogs]. With LogFollow the lines of the log are among the events, and
// Run returns after the last one, the [EventLogEnd].
func WithLogMode(mode LogMode) RunOption {
	return runOption(func(o *runOptions) { o.mode, o.wholeLog = mode, mode == LogFollow })
}

// WithLeaveOnCancel leaves the build running when the context ends. Without it,
// Run stops the build.
func WithLeaveOnCancel() RunOption { return runOption(func(o *runOptions) { o.leave = true }) }

// WithRetries sets how many more builds Run starts, one after the other, when one
// ends by a fault of the infrastructure: a FAULT, no machine (PROVISIONING), or a
// source that could not be downloaded because of the network. Default: 1. A
// failed Dockerfile, a wrong source and a time limit are never tried again.
func WithRetries(most int) RunOption { return runOption(func(o *runOptions) { o.retries = most }) }

// run is one call of Run.
type run struct {
	runOptions
	client *Client
}

// Run builds: it starts the build, waits for it and returns its result. A build
// that ended badly gives a *[BuildError], and the result beside it.
//
// When the context ends, Run stops the build, waits at most 2 minutes for it to
// have stopped, and returns an error that is the context's
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

// nextToken returns the idempotency token of the next attempt, which follows from
// the caller's, so that a repeated Run has the same attempts.
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
		return nil, fmt.Errorf("wait for build %s: its events ended early", b.id) // Events ends with one or the other
	}
	return result, result.Err()
}

// networkFaults is what CodeBuild, or git in its name, says of a source that cannot
// be downloaded for now.
var networkFaults = regexp.MustCompile(`(?i)timed? ?out|timeout|connection (refused|reset)|no such host|could not resolve|temporary failure|not reachable|unexpected EOF|early EOF|TLS handshake|rate exceeded|throttl|\b(429|500|502|503|504)\b`)

// noFaults is what is said of a machine that there will not be next time either.
var noFaults = regexp.MustCompile(`(?i)access ?denied|not authorized|unable to pull|invalid|not found`)

// isInfrastructureFault reports whether the same build may well succeed when it is
// started again.
func (r *Result) isInfrastructureFault() bool {
	failed := r.failedPhase()
	switch {
	case r.failure() == nil, r.failure() == ErrStopped, r.failure() == ErrNoDigest:
		return false
	case r.Status == Fault:
		return true
	case failed.Name == "PROVISIONING":
		return !noFaults.MatchString(failed.Reason)
	}
	return failed.Name == "DOWNLOAD_SOURCE" && networkFaults.MatchString(failed.Reason)
}

// stopLost stops a build that was started and that the service does not know: it
// may still come to run.
func (r *run) stopLost(ctx context.Context, b *Build, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceStarted)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return fmt.Errorf("build %s was started, and may go on: %w: it could not be stopped: %w", b.id, cause, err)
	}
	return fmt.Errorf("build %s was started, and is stopped: %w", b.id, cause)
}

// abandon ends a build whose caller's context has ended.
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
		return nil, fmt.Errorf("%w: build %s was told to stop, but may go on: %w", cause, b.id, err)
	}
	result := &Result{Info: *info}
	r.emit(Event{Type: EventFinished, Time: time.Now(), BuildID: b.id, Reason: info.Reason, Result: result})
	if err := result.Err(); err != nil {
		return result, fmt.Errorf("%w: %w", cause, err)
	}
	return result, fmt.Errorf("%w: build %s had pushed %s before it could be stopped", cause, b.id, result.ImageURI)
}

func withBuild(e Event, id string) Event {
	e.BuildID = id
	return e
}
