package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// board shows people how a batch is doing: on a terminal a table that is drawn
// anew, elsewhere a line for each start and end.
type board struct {
	out   io.Writer
	size  func() (width, height int) // of the terminal; nil elsewhere
	total int
	began time.Time

	mu       sync.Mutex
	rows     map[string]*row
	counts   map[string]int
	drawn    int // lines of the table
	stop     chan struct{}
	stopped  sync.WaitGroup
	finished bool
}

// row is a build under way.
type row struct {
	state string
	since time.Time
}

// drawEvery is how often the table is drawn.
const drawEvery = 250 * time.Millisecond

func newBoard(out io.Writer, total int) *board {
	b := &board{out: out, total: total, began: time.Now(), rows: map[string]*row{}, counts: map[string]int{}, stop: make(chan struct{})}
	if terminal := terminalOf(out); terminal != nil {
		b.size = func() (int, int) { return sizeOf(terminal) }
		b.stopped.Go(b.redraw)
	}
	return b
}

// terminalOf returns the terminal that out writes to, nil if there is none.
func terminalOf(out io.Writer) *os.File {
	wrapped, ok := out.(output)
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetWinsize(int(wrapped.file.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil
	}
	return wrapped.file
}

func sizeOf(terminal *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

func (b *board) redraw() {
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.draw()
		case <-b.stop:
			return
		}
	}
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
	if b.size == nil {
		b.print(format, args...)
	}
}

// print writes a line that stays, above the table.
func (b *board) print(format string, args ...any) {
	fmt.Fprint(b.out, b.erase(), "=> ", fmt.Sprintf(format, args...), "\n")
}

// erase returns what moves the cursor to the table's first line and clears from
// there.
func (b *board) erase() string {
	if b.drawn == 0 {
		return ""
	}
	n := b.drawn
	b.drawn = 0
	return fmt.Sprintf("\x1b[%dA\x1b[J", n)
}

func (b *board) draw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return
	}
	width, height := b.size()
	lines := b.table(height - 2)
	text := b.erase() // in one write with the lines, so that nothing flickers
	for _, line := range lines {
		text += clip(line, width-1) + "\n"
	}
	fmt.Fprint(b.out, text)
	b.drawn = len(lines)
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

// clip cuts a line to the terminal's width.
func clip(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width])
	}
	return line
}

// close takes the table away and prints the summary.
func (b *board) close() {
	b.mu.Lock()
	if b.finished {
		b.mu.Unlock()
		return
	}
	b.finished = true
	fmt.Fprint(b.out, b.erase(), b.summary(), "\n")
	b.mu.Unlock()
	close(b.stop)
	b.stopped.Wait()
}
