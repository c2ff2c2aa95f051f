package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// board shows people how a batch is doing: on a terminal a table that is drawn
// anew, elsewhere a line for each start and end.
type board struct {
	out   io.Writer
	total int
	began time.Time
	stop  func() // stops the drawing

	mu       sync.Mutex
	screen   *screen // nil if out is no terminal
	rows     map[string]*row
	counts   map[string]int
	finished bool
}

// row is a build under way.
type row struct {
	state string
	since time.Time
}

func newBoard(out io.Writer, total int) *board {
	b := &board{out: out, total: total, began: time.Now(), stop: func() {}, rows: map[string]*row{}, counts: map[string]int{}}
	if terminal := terminalOf(out); terminal != nil {
		b.screen = &screen{terminal: terminal}
		b.stop = repeat(b.draw)
	}
	return b
}

// see takes note of what happens to a build.
func (b *board) see(key string, e runner.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rows[key]
	if r == nil {
		r = &row{state: "starting", since: time.Now()}
		b.rows[key] = r
	}
	switch e.Type {
	case runner.EventUploading:
		r.state = "uploading"
	case runner.EventStarted:
		r.state = "started"
		b.say("%s: build %s", oneLine(key), e.BuildID)
	case runner.EventPhase:
		r.state = e.Phase.Name
	case runner.EventNote:
		b.say("%s: note: %s", oneLine(key), e.Note)
	}
}

// done takes note of an outcome. Those that failed stay on the screen.
func (b *board) done(key string, o batch.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := time.Duration(0)
	if r := b.rows[key]; r != nil {
		took = time.Since(r.since)
	}
	delete(b.rows, key)
	switch {
	case o.Err != nil:
		b.counts["failed"]++
		b.print("%s: %s: %v%s", oneLine(key), failureWord(o.Err), o.Err, lastLines(o.Err))
	case o.Reused:
		b.counts["reused"]++
		b.say("%s: built before", oneLine(key))
	default:
		b.counts["built"]++
		b.say("%s: SUCCEEDED %s", oneLine(key), seconds(took))
	}
}

func failureWord(err error) string {
	var failed *runner.BuildError
	if errors.As(err, &failed) {
		return string(failed.Status)
	}
	return "ERROR"
}

// lastLines are the last few of a failed build's log, indented.
func lastLines(err error) string {
	var failed *runner.BuildError
	if !errors.As(err, &failed) || len(failed.LastLines) == 0 {
		return ""
	}
	last := failed.LastLines[max(0, len(failed.LastLines)-5):]
	return "\n   | " + strings.Join(last, "\n   | ")
}

// say prints a line where there is no table to show the same.
func (b *board) say(format string, args ...any) {
	if b.screen == nil {
		b.print(format, args...)
	}
}

// print writes a line that stays, above the table.
func (b *board) print(format string, args ...any) {
	line := "=> " + fmt.Sprintf(format, args...)
	if b.screen != nil {
		b.screen.print(line)
		return
	}
	fmt.Fprintln(b.out, line)
}

func (b *board) draw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.finished {
		_, height := b.screen.size()
		b.screen.draw(b.table(height - 2))
	}
}

// table is the summary and the builds under way, the oldest first, as many as
// there is room for.
func (b *board) table(most int) []string {
	keys := slices.SortedFunc(maps.Keys(b.rows), func(x, y string) int {
		return b.rows[x].since.Compare(b.rows[y].since)
	})
	lines := []string{b.summary()}
	for i, key := range keys {
		if left := len(keys) - i; len(lines) >= most-1 && left > 1 {
			return append(lines, fmt.Sprintf("   and %d more", left))
		}
		r := b.rows[key]
		lines = append(lines, fmt.Sprintf("   %-32s %-16s %s", oneLine(key), r.state, seconds(time.Since(r.since).Truncate(time.Second))))
	}
	return lines
}

func (b *board) summary() string {
	ended := b.counts["built"] + b.counts["reused"] + b.counts["failed"]
	parts := []string{fmt.Sprintf("=> %d of %d", ended, b.total), fmt.Sprintf("%d built", b.counts["built"])}
	if n := b.counts["reused"]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d built before", n))
	}
	parts = append(parts, fmt.Sprintf("%d failed", b.counts["failed"]), fmt.Sprintf("%d under way", len(b.rows)), seconds(time.Since(b.began)))
	return strings.Join(parts, ", ")
}

// close takes the table away and prints the summary.
func (b *board) close() {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return
	}
	b.finished = true
	if b.screen != nil {
		b.screen.clear()
	}
	fmt.Fprintln(b.out, b.summary())
}
