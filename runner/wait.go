package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// Wait waits until the build has ended and returns its result. If the build did
// not succeed, Wait returns a *[BuildError] and the result. It reads the log
// only of a build that failed. Cancelling the context ends the wait, not the
// build.
func (b *Build) Wait(ctx context.Context) (*Result, error) {
	for event, err := range b.Events(ctx, LogFailures) {
		if err != nil {
			return nil, err
		}
		if event.Type == EventFinished {
			return event.Result, event.Result.Err()
		}
	}
	return nil, ctx.Err() // Events always yields a result or an error
}

// failureTail is how many of a failed build's last lines its error has.
const failureTail = 20

// readTail reads the end of the log: the last page if it has the build's own
// last line, otherwise the whole log from its beginning.
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

// lastPage reads the last page of the log. ok is false if the page cannot be
// read or lacks the build's own last line, because earlier lines may then still
// be missing.
func (b *Build) lastPage(ctx context.Context, info Info) (t tail, ok bool) {
	if info.logStream == "" {
		return t, false
	}
	out, err := b.client.logs.get(ctx, info, nil, false)
	if err != nil {
		return t, false
	}
	c := newCursor(b.id)
	c.log.Line(buildspec.Mark(b.id, buildspec.EventBegin)) // the page may begin after this line
	for _, line := range append(c.add(eventsOf(out.Events)), c.rest()...) {
		t.add(line)
	}
	return t, c.sentinel
}

// tail holds the end of a log, and the script's error.
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
