package runner

import (
	"context"
	"strings"
	"time"
)

// Wait waits until the build has ended and returns its result. It reads the log of
// a build that did not do what it should only, and gives a *[BuildError] with the
// result beside it. Cancelling the context ends the waiting, not the build.
func (b *Build) Wait(ctx context.Context) (*Result, error) {
	info, err := b.follow(ctx, func(update, Info) bool { return true })
	if err != nil {
		return nil, err
	}
	b.client.discard(ctx, b.source)
	if kind := info.failure(); kind != nil && kind != ErrStopped {
		info.learn(b.readTail(ctx))
	}
	return &Result{Info: info}, info.Err()
}

// failureTail is how many of a failed build's last lines go into its error.
const failureTail = 20

// tailTimeout bounds the reading of a failed build's log for its error.
const tailTimeout = 30 * time.Second

// readTail reads what it can.
func (b *Build) readTail(ctx context.Context) *tail {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	t := &tail{}
	for line, err := range b.Logs(ctx) {
		if err != nil {
			t.err = err
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
	err    error // the end could not be read
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
