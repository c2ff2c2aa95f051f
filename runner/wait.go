package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Wait waits until the build has ended and returns its result. It reads only the
// log of a build that failed, and gives a *[BuildError] with the result beside it.
// Cancelling the context ends the waiting, not the build.
func (b *Build) Wait(ctx context.Context) (*Result, error) {
	for event, err := range b.Events(ctx, LogFailures) {
		if err != nil {
			return nil, err
		}
		if event.Type == EventFinished {
			return event.Result, event.Result.Err()
		}
	}
	return nil, ctx.Err() // Events ends with one or the other
}

// failureTail is how many of a failed build's last lines go into its error.
const failureTail = 20

// readTail reads what it can: the last page of the log, if that has the build's own
// last line, else all of the log from its beginning.
func (b *Build) readTail(ctx context.Context, info Info) tail {
	limited, cancel := context.WithTimeout(ctx, reasonPatience)
	defer cancel()
	if t, ok := b.lastPage(limited, info); ok {
		return t
	}
	var t tail
	r := b.newLogReader(nil)
	t.err = r.read(limited, func(line Line) bool {
		t.add(line)
		return true
	})
	if ctx.Err() == nil && limited.Err() != nil {
		t.err = fmt.Errorf("%w: it was not there within %v of the build's end", ErrLogsIncomplete, reasonPatience)
	}
	return t
}

// lastPage fails if the page does not have the sentinel, whose lines may still be on
// their way, or cannot be read.
func (b *Build) lastPage(ctx context.Context, info Info) (t tail, ok bool) {
	if info.logStream == "" {
		return t, false
	}
	out, err := b.client.logs.get(ctx, info, nil, false)
	if err != nil {
		return t, false
	}
	c := newCursor(b.id)
	c.log.Line("[flexbuild " + b.id + "] begin") // the page may begin after that
	for _, line := range append(c.add(eventsOf(out.Events)), c.rest()...) {
		t.add(line)
	}
	return t, c.sentinel
}

// tail keeps the end of a log, and the script's own word on why it failed.
type tail struct {
	lines  []string
	reason string
	ended  bool  // the build's own last line is there
	err    error // the end could not be read
}

func (t *tail) clone() tail { return tail{slices.Clone(t.lines), t.reason, t.ended, t.err} }

func (t *tail) add(line Line) {
	t.ended = t.ended || line.Kind == LineEnd
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
