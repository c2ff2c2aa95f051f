package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
)

// progress shows a build to people, line by line: where it is, and its own log.
type progress struct {
	out      io.Writer
	raw      bool // whether to show everything: each phase, and the agent's lines
	followed bool // whether there were lines of the log
	steps    steps
	problems []string       // errors of the script, which follow its log
	last     *runner.Result // shown at the end of the log
}

func (p *progress) show(e runner.Event) {
	switch e.Type {
	case runner.EventPacking:
		p.say("packing the source: %s of about %s", size(e.Bytes), size(e.Total))
	case runner.EventUploading:
		p.say("uploading the source: %s of %s", size(e.Bytes), size(e.Total))
	case runner.EventUploaded:
		p.say("%s", uploaded(e))
	case runner.EventStarted:
		p.say("build %s", e.BuildID)
	case runner.EventPhase:
		p.phase(e.Phase)
	case runner.EventLog:
		p.line(e.Line)
	case runner.EventNote:
		p.say("note: %s", e.Note)
	case runner.EventFinished:
		p.last = e.Result
	}
}

func (p *progress) say(format string, args ...any) { fmt.Fprintf(p.out, "=> "+format+"\n", args...) }

func uploaded(e runner.Event) string {
	if e.Bytes == 0 {
		return fmt.Sprintf("source unchanged: %d files, already uploaded", e.Files)
	}
	return fmt.Sprintf("source uploaded: %d files, %s", e.Files, size(e.Bytes))
}

// longPhases may take long, so their beginning is shown too.
var longPhases = []string{"QUEUED", "PROVISIONING", "BUILD"}

func (p *progress) phase(phase runner.Phase) {
	switch {
	case phase.Status == "":
		if slices.Contains(longPhases, phase.Name) {
			p.say("%s …", phase.Name)
		}
	case p.raw || worthALine(phase):
		p.say("%s %s %s", phase.Name, phase.Status, seconds(phase.Duration))
	}
}

// worthALine reports whether people want to know that a phase has ended: it
// took a time that they notice, or it failed.
func worthALine(phase runner.Phase) bool {
	return phase.Status != "" && (phase.Status != runner.Succeeded || phase.Duration >= time.Second)
}

func (p *progress) line(line runner.Line) {
	p.followed = true
	if line.Kind == runner.LineOutput {
		p.steps.add(line.Text, line.Time)
	}
	switch {
	case p.raw:
		fmt.Fprintln(p.out, line.Raw)
	case line.Kind == runner.LineError:
		p.problems = append(p.problems, line.Text)
	case line.Kind == runner.LineNote:
		p.say("note: %s", line.Text)
	case line.Own():
		fmt.Fprintln(p.out, withoutSequences(line.Text)) // buildx colours its warnings
	}
}

// finish shows how the build ended, and the last lines of a log that was not
// followed.
func (p *progress) finish(lastLines []string) error {
	if !p.followed {
		for _, line := range lastLines {
			fmt.Fprintln(p.out, line)
		}
	}
	for _, problem := range p.problems {
		p.say("error: %s", problem)
	}
	if p.last == nil {
		return nil
	}
	p.say("%s", ending(p.last, &p.steps))
	if p.followed && p.last.Status == runner.Succeeded && !p.last.LogsComplete {
		p.say("note: the log above may be incomplete")
	}
	return nil
}

// ending says how a build ended.
func ending(result *runner.Result, steps *steps) string {
	text := fmt.Sprintf("%s %s", result.Status, seconds(result.Ended.Sub(result.Started)))
	if counts := steps.counts(); counts != "" {
		text += ", " + counts
	}
	return text
}

// jsonEvents prints a build for programs, a line of JSON for each event.
type jsonEvents struct {
	out      io.Writer
	raw      bool           // whether to print the agent's lines too
	target   *target        // whose builds have links to the console or not
	problems []runner.Event // errors of the script, which follow its log
	last     []runner.Event // the EventFinished, which is printed last
	err      error          // the first error of a write
}

func (j *jsonEvents) show(e runner.Event) {
	switch {
	case e.Type == runner.EventFinished:
		result := *e.Result
		result.Info = j.target.withoutConsole(result.Info)
		e.Result = &result
		j.last = []runner.Event{e}
	case e.Type == runner.EventLog && e.Line.Kind == runner.LineError:
		j.problems = append(j.problems, e)
	case e.Type == runner.EventLog && e.Line.Kind == runner.LineAgent && !j.raw:
	default:
		j.print(e)
	}
}

func (j *jsonEvents) print(e runner.Event) {
	if err := printJSON(j.out, e); j.err == nil {
		j.err = err
	}
}

func (j *jsonEvents) finish([]string) error {
	for _, e := range append(j.problems, j.last...) {
		j.print(e)
	}
	return j.err
}

// seconds returns a duration for people.
func seconds(d time.Duration) string {
	if d = max(d, 0); d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return elapsed(d)
}

// elapsed returns a duration in whole seconds.
func elapsed(d time.Duration) string { return max(d, 0).Truncate(time.Second).String() }

func size(bytes int64) string {
	const kib = 1024
	if bytes < kib*kib {
		return fmt.Sprintf("%.1f KiB", float64(bytes)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(kib*kib))
}

// printJSON prints a value as one line of JSON.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }
