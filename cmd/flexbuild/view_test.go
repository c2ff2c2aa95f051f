package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/codebuild-flex/flexbuild/runner"
)

var update = flag.Bool("update", false, "write the screens of testdata/screens and the manual pages of docs/man")

// console is a pseudo-terminal, with an emulator that shows what is on it.
type console struct {
	t             *testing.T
	master, slave *os.File
	emulator      vt10x.Terminal
	syncs         int
}

func newConsole(t *testing.T, width, height int) *console {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	c := &console{t: t, master: master, slave: slave, emulator: vt10x.New(vt10x.WithSize(width, height))}
	c.resize(width, height)
	return c
}

func (c *console) resize(width, height int) {
	c.t.Helper()
	if err := pty.Setsize(c.slave, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		c.t.Fatal(err)
	}
	c.emulator.Resize(width, height)
}

// terminal returns the terminal as the command finds it.
func (c *console) terminal() *terminal {
	c.t.Helper()
	found := terminalOf(output{file: c.slave, interruption: &interruption{cancel: func() {}}})
	if found == nil {
		c.t.Fatal("the pseudo-terminal is no terminal to the command")
	}
	return found
}

// screen returns what is on the terminal now, without blanks at the ends of
// lines and without blank lines at the end.
func (c *console) screen() string {
	c.t.Helper()
	c.syncs++
	title := fmt.Sprintf("sync %d", c.syncs) // a mark after all that was written
	fmt.Fprintf(c.slave, "\x1b]0;%s\x07", title)
	buffer := make([]byte, 4096)
	for c.emulator.Title() != title {
		n, err := c.master.Read(buffer)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.emulator.Write(buffer[:n]); err != nil {
			c.t.Fatal(err)
		}
	}
	lines := strings.Split(c.emulator.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \x00")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// moment is something that happens to a build at a time since its start.
type moment struct {
	at     int // seconds
	events []runner.Event
}

func phase(name string, status runner.Status, took time.Duration) runner.Event {
	return runner.Event{Type: runner.EventPhase, Phase: runner.Phase{Name: name, Status: status, Duration: took}}
}

func logLines(kind runner.LineKind, lines ...string) (events []runner.Event) {
	for _, line := range lines {
		events = append(events, runner.Event{Type: runner.EventLog, Line: runner.Line{Kind: kind, Text: line, Raw: line}})
	}
	return events
}

const buildID = "flexbuild:5b4e1948-020d-4697-b787-991db100157b"

// story returns a build with everything that a view shows.
func story() []moment {
	return []moment{
		{0, nil},
		{1, []runner.Event{{Type: runner.EventUploading, Bytes: 3 << 20, Total: 12 << 20}}},
		{3, []runner.Event{
			{Type: runner.EventUploaded, Files: 240, Bytes: 12 << 20},
			{Type: runner.EventStarted, BuildID: buildID},
			phase("SUBMITTED", runner.Succeeded, 0),
			phase("QUEUED", "", 0),
		}},
		{9, []runner.Event{
			phase("QUEUED", runner.Succeeded, 6*time.Second),
			phase("PROVISIONING", "", 0),
		}},
		{31, nil},
		{32, append([]runner.Event{
			phase("PROVISIONING", runner.Succeeded, 23*time.Second),
			phase("DOWNLOAD_SOURCE", runner.Succeeded, 200*time.Millisecond),
			phase("INSTALL", runner.Succeeded, 0),
			phase("PRE_BUILD", runner.Succeeded, 0),
			phase("BUILD", "", 0),
		}, logLines(runner.LineOutput,
			"#1 [internal] load build definition from Dockerfile",
			"#1 transferring dockerfile: 205B done",
			"#1 DONE 0.1s",
			"#5 [build 1/4] FROM docker.io/library/golang:1.26@sha256:0a4f",
			"#5 CACHED",
			"#6 [build 2/4] COPY go.mod go.sum ./",
			"#6 CACHED",
			"#7 [build 3/4] RUN go mod download",
			"#7 CACHED",
			"#8 [build 4/4] RUN go build -o /usr/local/bin/server -trimpath -ldflags=-s ./cmd/server",
			"#9 [web 2/2] RUN npm ci",
		)...)},
		{40, append(logLines(runner.LineNote, "the layer cache is from another branch"), logLines(runner.LineOutput,
			"#8 1.204 github.com/org/server/internal/store",
			"#8 2.310 \x1b[31mgithub.com/org/server/internal/網路\x1b[0m\x1b]52;c;aGk=\x07\tdone",
			"#9 0.900 npm warn deprecated\r",
			"#9 7.5 added 812 packages in 7s",
			"#9 DONE 7.9s",
		)...)},
		{75, nil},
	}
}

func succeeded() []runner.Event {
	started := time.Unix(0, 0)
	return append(append(logLines(runner.LineOutput, "#8 DONE 51.2s", "#10 exporting to image", "#10 DONE 1.2s"),
		phase("BUILD", runner.Succeeded, 55*time.Second),
		phase("POST_BUILD", runner.Succeeded, 100*time.Millisecond)),
		runner.Event{Type: runner.EventFinished, Result: &runner.Result{Info: runner.Info{
			Status: runner.Succeeded, Digest: "sha256:0a4f", Started: started, Ended: started.Add(87 * time.Second)}}})
}

func failed() ([]runner.Event, []string) {
	started := time.Unix(0, 0)
	events := append(logLines(runner.LineOutput, `#8 60.1 ./main.go:7:2: undefined: handle`, `#8 ERROR: exit code: 1`),
		logLines(runner.LineError, `process "go build" did not complete successfully: exit code: 1`)...)
	return append(events,
			phase("BUILD", runner.Failed, 55*time.Second),
			runner.Event{Type: runner.EventFinished, Result: &runner.Result{Info: runner.Info{
				Status: runner.Failed, Started: started, Ended: started.Add(87 * time.Second)}}}),
		[]string{"#8 60.1 ./main.go:7:2: undefined: handle", "ERROR: failed to build: exit code: 1"}
}

// The screens of testdata/screens are those of a build on terminals of three
// widths. Time and events are the test's own.
func TestViewOnTerminals(t *testing.T) {
	for _, width := range []int{40, 80, 120} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			var screens strings.Builder
			for _, succeeds := range []bool{true, false} {
				c := newConsole(t, width, 20)
				clock := time.Unix(0, 0)
				v := makeView(c.terminal(), func() time.Time { return clock })
				capture := func(name string) { fmt.Fprintf(&screens, "--- %s\n%s\n\n", name, c.screen()) }
				for _, m := range story() {
					clock = time.Unix(int64(m.at), 0)
					for _, e := range m.events {
						v.show(e)
					}
					v.draw()
					if succeeds {
						capture(fmt.Sprintf("after %d s", m.at))
					}
				}
				events, lastLines := succeeded(), []string(nil)
				if !succeeds {
					events, lastLines = failed()
				}
				for _, e := range events {
					v.show(e)
				}
				if err := v.finish(lastLines); err != nil {
					t.Fatal(err)
				}
				capture(map[bool]string{true: "succeeded", false: "failed"}[succeeds])
			}
			golden(t, filepath.Join("testdata/screens", fmt.Sprint(width)+".txt"), screens.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./cmd/flexbuild -run %s -update writes it):\n%s", name, t.Name(), got)
	}
}

// A terminal that becomes wider or lower in the middle keeps nothing of what
// was drawn before.
func TestViewFollowsTheTerminalsSize(t *testing.T) {
	c := newConsole(t, 60, 24)
	clock := time.Unix(0, 0)
	v := makeView(c.terminal(), func() time.Time { return clock })
	for _, m := range story() {
		for _, e := range m.events {
			v.show(e)
		}
	}
	v.draw()
	before := c.screen()
	c.resize(100, 10)
	v.draw()
	after := c.screen()
	if strings.Count(before, "=> building") != 1 || strings.Count(after, "=> building") != 1 {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if !strings.Contains(before, "…") || !strings.Contains(after, "-trimpath -ldflags=-s ./cmd/server") {
		t.Errorf("lines are not cut to the width:\n%s\nafter:\n%s", before, after)
	}
	if n := len(strings.Split(after, "\n")); n > 9 {
		t.Errorf("%d lines on a terminal of 10, which needs one for the cursor:\n%s", n, after)
	}
}

// On a terminal that has become narrower, lines wrap, and erasing them takes
// more rows.
func TestScreenErasesWrappedLines(t *testing.T) {
	width := 80
	var out strings.Builder
	s := screen{terminal: &terminal{out: &out, size: func() (int, int) { return width, 24 }}}
	s.draw([]string{strings.Repeat("x", 60), "short"})
	width = 30
	out.Reset()
	s.clear()
	if got, want := out.String(), "\r\x1b[3A\x1b[J"; got != want {
		t.Errorf("erased by %q, want %q", got, want)
	}
}

func TestColours(t *testing.T) {
	for _, noColour := range []string{"", "1"} {
		c := newConsole(t, 80, 24)
		t.Setenv("NO_COLOR", noColour)
		var out strings.Builder
		terminal := c.terminal()
		terminal.out = &out
		v := makeView(terminal, time.Now)
		for _, e := range succeeded() {
			v.show(e)
		}
		if err := v.finish(nil); err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(out.String(), "\x1b[1;32m=> SUCCEEDED"); has != (noColour == "") {
			t.Errorf("NO_COLOR=%q: %q", noColour, out.String())
		}
	}
}

// A terminal that cannot move its cursor gets lines, as a file does.
func TestDumbTerminalGetsLines(t *testing.T) {
	c := newConsole(t, 80, 24)
	t.Setenv("TERM", "dumb")
	out := output{file: c.slave, interruption: &interruption{cancel: func() {}}}
	if _, isLines := newDisplay(out, false).(*progress); !isLines {
		t.Error("a dumb terminal gets a view")
	}
}

// Lines for programs and files leave out what takes no time, and have the
// script's error after the log.
func TestLinesWithoutNoise(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out}
	events, lastLines := failed()
	for _, m := range story() {
		for _, e := range m.events {
			p.show(e)
		}
	}
	for _, e := range append(logLines(runner.LineError, "first"), events...) {
		p.show(e)
	}
	if err := p.finish(lastLines); err != nil {
		t.Fatal(err)
	}
	for _, noise := range []string{"SUBMITTED", "INSTALL", "0.2s"} {
		if strings.Contains(out.String(), noise) {
			t.Errorf("%s is shown:\n%s", noise, out.String())
		}
	}
	want := "=> BUILD FAILED 55.0s\n=> error: first\n=> error: process \"go build\" did not complete successfully: exit code: 1\n=> FAILED 1m27s, steps: 2 run, 2 cached\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("the end is not\n%s:\n%s", want, out.String())
	}
}

// In a job of GitHub Actions, a line of the log cannot be a command to it.
func TestActionsGroup(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "true")
	var out strings.Builder
	d := newDisplay(&out, false)
	d.show(runner.Event{Type: runner.EventStarted, BuildID: buildID})
	for _, e := range logLines(runner.LineOutput, "::add-mask::x") {
		e.BuildID = buildID
		d.show(e)
	}
	if err := d.finish(nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	token, stopped := strings.CutPrefix(lines[2], "::stop-commands::")
	want := []string{"=> build " + buildID, "::group::log of build " + buildID, lines[2], "::add-mask::x", "::" + token + "::", "::endgroup::", ""}
	if !stopped || len(token) < 20 || fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
}
