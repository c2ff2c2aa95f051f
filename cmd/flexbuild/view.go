package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
)

// view shows one build on a terminal: what it does now, for how long, the steps
// that BuildKit is in, and the last lines of their output. Lines that matter
// later stay above that.
type view struct {
	now  func() time.Time
	stop func() // stops the drawing

	mu       sync.Mutex
	screen   screen
	closed   bool
	doing    string    // what the build does now
	since    time.Time // since when
	steps    steps
	problems []string // errors of the script, which follow its log
	result   *runner.Result
}

func newView(t *terminal) *view {
	v := makeView(t, time.Now)
	v.stop = repeat(v.draw)
	return v
}

// makeView returns a view that somebody else draws.
func makeView(t *terminal, now func() time.Time) *view {
	return &view{now: now, stop: func() {}, screen: screen{terminal: t}, doing: "starting", since: now()}
}

// phaseWords say what a build does in a phase. The phases that are missing take
// no time.
var phaseWords = map[string]string{
	"QUEUED":          "waiting in the queue",
	"PROVISIONING":    "starting the machine",
	"DOWNLOAD_SOURCE": "downloading the source",
	"INSTALL":         "preparing the build",
	"PRE_BUILD":       "preparing the build",
	"BUILD":           "building",
	"POST_BUILD":      "finishing",
	"FINALIZING":      "finishing",
}

func (v *view) show(e runner.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Type {
	case runner.EventPacking:
		v.do(fmt.Sprintf("packing the source, %s of about %s", size(e.Bytes), size(e.Total)))
	case runner.EventUploading:
		v.do(fmt.Sprintf("uploading the source, %s of %s", size(e.Bytes), size(e.Total)))
	case runner.EventUploaded:
		v.print("%s", uploaded(e))
		v.begin("starting", v.now())
	case runner.EventStarted:
		v.print("build %s", e.BuildID)
		v.begin("starting", v.now())
	case runner.EventPhase:
		v.phase(e.Phase)
	case runner.EventNote:
		v.print("note: %s", printable(e.Note))
	case runner.EventLog:
		v.line(e.Line)
	case runner.EventFinished:
		v.result = e.Result
		v.begin("reading the end of the log", v.now())
	}
}

// do changes what the build does now. The time goes on.
func (v *view) do(what string) { v.doing = what }

func (v *view) begin(what string, since time.Time) {
	if v.doing != what {
		v.doing, v.since = what, since
	}
}

func (v *view) phase(phase runner.Phase) {
	if words := phaseWords[phase.Name]; phase.Status == "" && words != "" {
		v.begin(words, v.now())
	}
	if worthALine(phase) {
		v.print("%s %s %s", phase.Name, phase.Status, seconds(phase.Duration))
	}
}

func (v *view) line(line runner.Line) {
	switch line.Kind {
	case runner.LineNote:
		v.print("note: %s", printable(line.Text))
	case runner.LineError:
		v.problems = append(v.problems, printable(line.Text))
	case runner.LineOutput:
		v.steps.add(line.Text, v.now())
	}
}

func (v *view) print(format string, args ...any) {
	v.screen.print("=> " + fmt.Sprintf(format, args...))
	v.screen.draw(v.lines())
}

func (v *view) draw() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.screen.draw(v.lines())
	}
}

// silentAfter is how long a step may be silent before the view says so.
const silentAfter = 10 * time.Second

// lines returns what the view shows below the lines that stay.
func (v *view) lines() []string {
	now := v.now()
	head := fmt.Sprintf("=> %s %s", v.doing, elapsed(now.Sub(v.since)))
	if counts := v.steps.counts(); counts != "" {
		head += ", " + counts
	}
	lines := []string{v.screen.styled(bold, head)}
	_, height := v.screen.size()
	room := max(1, height-3) // the first line, and one for the cursor
	running := v.steps.running()
	shown := running[max(0, len(running)-max(1, room/2)):] // the latest ones
	for _, step := range shown {
		lines = append(lines, "   "+step.describe(now))
	}
	if len(running) == 0 {
		return lines
	}
	last := v.steps.last
	for _, line := range last[max(0, len(last)-max(0, min(shownLines, room-len(shown)))):] {
		lines = append(lines, v.screen.styled(faint, "   | "+line))
	}
	return lines
}

// shownLines is how many of the last lines of output are shown while the build
// runs.
const shownLines = 6

// describe returns the step with its time, and how long it has been silent.
func (s *step) describe(now time.Time) string {
	text := fmt.Sprintf("%s %s", elapsed(now.Sub(s.began)), s.name)
	if silent := now.Sub(s.active); silent >= silentAfter {
		text = fmt.Sprintf("%s (silent for %s) %s", elapsed(now.Sub(s.began)), elapsed(silent), s.name)
	}
	return text
}

// finish removes what the build does, and says how it ended.
func (v *view) finish(lastLines []string) error {
	v.stop()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.screen.clear()
	for _, line := range lastLines {
		v.screen.print(v.screen.styled(faint, "   | "+printable(line)))
	}
	for _, problem := range v.problems {
		v.screen.print("=> error: " + problem)
	}
	if v.result == nil {
		return nil
	}
	style := green
	if v.result.Err() != nil {
		style = red
	}
	v.screen.print(v.screen.styled(style, "=> "+ending(v.result, &v.steps)))
	return nil
}
