package runner

import (
	"context"
	"fmt"
	"io"
)

// RunOption changes what [Client.Run] and [Client.Start] tell, and what Run
// leaves.
type RunOption func(*run)

// WithEvents calls see for everything that happens, from one goroutine and in
// the order of [Build.Events]. A slow see delays the telling, not the build.
func WithEvents(see func(Event)) RunOption {
	return func(r *run) { r.see = append(r.see, see) }
}

// WithLogs writes the build's own output to w while it runs, a line at a time,
// with the script's remarks and without the agent's lines. What w returns is
// not looked at.
func WithLogs(w io.Writer) RunOption {
	return WithEvents(func(e Event) {
		if e.Type == EventLog && e.Line.Own() {
			fmt.Fprintln(w, e.Line.Text)
		}
	})
}

// WithLeaveOnCancel leaves the build running when the context ends. Without it,
// Run stops the build.
func WithLeaveOnCancel() RunOption { return func(r *run) { r.leave = true } }

// run is one call of Run.
type run struct {
	client *Client
	see    []func(Event)
	leave  bool
}

// Run builds: it starts the build, waits for it and returns its result. A build
// that ended badly gives a *[BuildError], and the result beside it.
//
// When the context ends, Run stops the build, waits at most 2 minutes for it to
// have stopped, and returns an error that is the context's
// (errors.Is(err, context.Canceled)), names the build and says whether it
// stopped.
func (c *Client) Run(ctx context.Context, req Request, opts ...RunOption) (*Result, error) {
	r := c.newRun(opts)
	b, err := c.start(ctx, req, r.emit)
	if err != nil {
		return nil, err
	}
	result, err := r.await(ctx, b)
	if ctx.Err() != nil && err != nil && isCancel(err) {
		return r.abandon(ctx, b)
	}
	return result, err
}

func (c *Client) newRun(opts []RunOption) *run {
	r := &run{client: c}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

func (r *run) emit(e Event) {
	for _, see := range r.see {
		see(e)
	}
}

// await reads the log only if somebody wants to see it.
func (r *run) await(ctx context.Context, b *Build) (*Result, error) {
	if len(r.see) == 0 {
		return b.Wait(ctx)
	}
	for event, err := range b.Events(ctx) {
		if err != nil {
			return nil, err
		}
		r.emit(event)
		if event.Type == EventFinished {
			return event.Result, event.Result.Err()
		}
	}
	return nil, fmt.Errorf("wait for build %s: its events ended early", b.id) // Events ends with one or the other
}

// abandon ends a build whose caller's context has ended.
func (r *run) abandon(ctx context.Context, b *Build) (*Result, error) {
	cause := ctx.Err()
	if r.leave {
		return nil, fmt.Errorf("%w: build %s goes on", cause, b.id)
	}
	r.emit(withBuild(r.client.note("stopping build %s", b.id), b.id))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return nil, fmt.Errorf("%w: build %s may go on: %w", cause, b.id, err)
	}
	info, err := b.follow(ctx, func(update, Info) bool { return true })
	if err != nil {
		return nil, fmt.Errorf("%w: build %s was told to stop, but may go on: %w", cause, b.id, err)
	}
	result := &Result{Info: info}
	r.emit(Event{Type: EventFinished, Time: r.client.clock.Now(), BuildID: b.id, Reason: info.Reason, Result: result})
	if err := result.Err(); err != nil {
		return result, fmt.Errorf("%w: %w", cause, err)
	}
	return result, fmt.Errorf("%w: build %s had pushed %s before it could be stopped", cause, b.id, result.ImageURI)
}

func withBuild(e Event, id string) Event {
	e.BuildID = id
	return e
}
