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
	if kind := info.failure(); kind != nil && kind != ErrStopped {
		info.addLog(b.readTail(ctx, info))
	}
	return &Result{Info: info}, info.Err()
}

// failureTail is how many of a failed build's last lines go into its error.
const failureTail = 20

// tailTimeout bounds the reading of a failed build's log for its error.
const tailTimeout = 30 * time.Second

// readTail reads what it can: the last page of the log, if that has the build's own
// last line, else all of the log from its beginning.
func (b *Build) readTail(ctx context.Context, info Info) *tail {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	if t := b.lastPage(ctx, info); t != nil {
		return t
	}
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

// lastPage returns nil if the page does not have the sentinel, whose lines may
// still be on their way, or cannot be read.
func (b *Build) lastPage(ctx context.Context, info Info) *tail {
	if info.logStream == "" || b.client.logPace.wait(ctx) != nil {
		return nil
	}
	out, err := b.client.getLog(ctx, info, nil, false)
	b.client.logPace.learn(err)
	if err != nil {
		return nil
	}
	c, t := newCursor(b.id), &tail{}
	c.log.Line("[flexbuild " + b.id + "] begin") // the page may begin after that
	lines, _ := c.page(out)
	for _, line := range append(lines, c.rest()...) {
		t.add(line)
	}
	if !c.sentinel {
		return nil
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
