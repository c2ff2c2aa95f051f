package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
)

// progress shows a build to people: its phases with their times, and its own
// log lines.
type progress struct {
	out  io.Writer
	raw  bool           // whether to show the agent's lines too
	last *runner.Result // shown at the end of the log
}

func (p *progress) show(e runner.Event) {
	switch e.Type {
	case runner.EventPacking:
		fmt.Fprintf(p.out, "=> packing the source: %s of about %s\n", size(e.Bytes), size(e.Total))
	case runner.EventUploading:
		fmt.Fprintf(p.out, "=> uploading the source: %s of %s\n", size(e.Bytes), size(e.Total))
	case runner.EventUploaded:
		p.uploaded(e)
	case runner.EventStarted:
		fmt.Fprintf(p.out, "=> build %s\n", e.BuildID)
	case runner.EventPhase:
		p.phase(e.Phase)
	case runner.EventLog:
		p.line(e.Line)
	case runner.EventNote:
		fmt.Fprintf(p.out, "=> note: %s\n", e.Note)
	case runner.EventFinished:
		p.last = e.Result
	}
}

func (p *progress) uploaded(e runner.Event) {
	if e.Bytes == 0 {
		fmt.Fprintf(p.out, "=> source unchanged: %d files, already uploaded\n", e.Files)
		return
	}
	fmt.Fprintf(p.out, "=> source uploaded: %d files, %s\n", e.Files, size(e.Bytes))
}

// phase shows a phase when it ends. It also shows the beginning of BUILD, which
// takes long.
func (p *progress) phase(phase runner.Phase) {
	switch {
	case phase.Status != "":
		fmt.Fprintf(p.out, "=> %s %s %s\n", phase.Name, phase.Status, seconds(phase.Duration))
	case phase.Name == "QUEUED", phase.Name == "BUILD":
		fmt.Fprintf(p.out, "=> %s …\n", phase.Name)
	}
}

func (p *progress) line(line runner.Line) {
	switch {
	case p.raw:
		fmt.Fprintln(p.out, line.Raw)
	case line.Kind == runner.LineNote, line.Kind == runner.LineError:
		fmt.Fprintf(p.out, "=> %s: %s\n", line.Kind, line.Text)
	case line.Own():
		fmt.Fprintln(p.out, line.Text)
	}
}

// finish shows how the build ended.
func (p *progress) finish() {
	if p.last == nil {
		return
	}
	fmt.Fprintf(p.out, "=> %s %s\n", p.last.Status, seconds(p.last.Ended.Sub(p.last.Started)))
	if p.last.Status == runner.Succeeded && !p.last.LogsComplete {
		fmt.Fprintln(p.out, "=> note: the log above may be incomplete")
	}
}

// jsonEvents prints a build for programs, a line of JSON for each event.
type jsonEvents struct {
	out  io.Writer
	raw  bool          // whether to print the agent's lines too
	last *runner.Event // the EventFinished, which is printed last
	err  error         // the first error of a write
}

func (j *jsonEvents) show(e runner.Event) {
	if e.Type == runner.EventFinished {
		j.last = &e
		return
	}
	if e.Type == runner.EventLog && e.Line.Kind == runner.LineAgent && !j.raw {
		return
	}
	j.print(e)
}

func (j *jsonEvents) print(e runner.Event) {
	if err := printJSON(j.out, e); j.err == nil {
		j.err = err
	}
}

func (j *jsonEvents) finish(*runner.Result) error {
	if j.last != nil {
		j.print(*j.last)
	}
	return j.err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", max(d, 0).Seconds()) }

func size(bytes int64) string {
	const kib = 1024
	if bytes < kib*kib {
		return fmt.Sprintf("%.1f KiB", float64(bytes)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(kib*kib))
}

// printJSON prints a value as one line of JSON.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }
