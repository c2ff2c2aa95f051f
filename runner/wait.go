package runner

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Wait waits until the build has ended and returns its result, without reading
// its log. A build that did not do what it should gives a *[BuildError], and the
// result beside it. Cancelling the context ends the waiting, not the build.
func (b *Build) Wait(ctx context.Context) (*Result, error) {
	info, err := b.follow(ctx, func(update, Info) bool { return true })
	if err != nil {
		return nil, err
	}
	return b.conclude(ctx, &Result{Info: info}, nil)
}

// failureTail is how many of a failed build's last lines go into its error.
const failureTail = 20

// tailTimeout bounds the reading of a failed build's log for its error.
const tailTimeout = 30 * time.Second

// conclude adds what the log says to the error of a build that ended badly. A
// nil tail means that the log has not been read.
func (b *Build) conclude(ctx context.Context, result *Result, t *tail) (*Result, error) {
	err := result.Err()
	var failed *BuildError
	if !errors.As(err, &failed) {
		return result, err
	}
	if t == nil && failed.kind != ErrStopped {
		t = b.readTail(ctx)
	}
	if t != nil {
		failed.LastLines = t.lines
		if t.reason != "" {
			failed.Reason = t.reason
		}
	}
	return result, failed
}

// readTail reads what it can.
func (b *Build) readTail(ctx context.Context) *tail {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	t := &tail{}
	for line, err := range b.Logs(ctx) {
		if err != nil {
			break
		}
		t.add(line)
	}
	return t
}

// tail keeps the end of a log, and the script's own word on why it failed.
type tail struct {
	lines  []string
	reason string
}

func (t *tail) add(line Line) {
	if line.Kind == LineError {
		t.reason = line.Text
	}
	if line.Kind != LineOutput || strings.TrimSpace(line.Text) == "" {
		return
	}
	if len(t.lines) == failureTail {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line.Text)
}
