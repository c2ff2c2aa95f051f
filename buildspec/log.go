package buildspec

import "strings"

// LineKind is the origin of a line of a build's log.
type LineKind int

const (
	Agent  LineKind = iota // written by CodeBuild's agent, which also echoes the script's source
	Output                 // the build's own output: BuildKit's progress
	Note                   // a note of the script, such as that it falls back to a simpler builder
	Error                  // the reason for which the script ended the build
	End                    // the last line that the build itself writes
)

// Line is a line of a build's log. The Text of a Note or an Error has no
// marker; the Text of other lines is the whole line.
type Line struct {
	Kind LineKind
	Text string
}

// These are the events that the script marks in the log, besides its notes and
// its error.
const (
	EventBegin = "begin" // the script runs: its output follows
	EventDone  = "done"  // the script has ended
	EventEnd   = "end"   // the build's last line
)

// Mark returns the line with which the script of a build marks an event.
func Mark(buildID, event string) string { return markerOf(buildID) + event }

func markerOf(buildID string) string { return "[flexbuild " + buildID + "] " }

// Log classifies the lines of one build's log. Pass every line to [Log.Line],
// in order.
//
// The script begins its marked lines with "[flexbuild <build id>]". The id is
// filled in when the script runs, so the agent's echo of the source never looks
// like a marker. BuildKit puts a prefix before the output of RUN steps, so they
// cannot write a marker.
type Log struct {
	marker string
	open   bool // whether the script is running, so that its output follows
}

// NewLog returns a Log for the build with the given id (project:uuid).
func NewLog(buildID string) *Log {
	return &Log{marker: markerOf(buildID)}
}

// Line classifies the next line, which is passed without its line break.
func (l *Log) Line(text string) Line {
	if marked, ok := strings.CutPrefix(text, l.marker); ok {
		return l.mark(marked)
	}
	if strings.HasPrefix(text, "[Container] ") {
		l.open = false // the script was killed before it wrote its last line
	}
	if l.open {
		return Line{Output, text}
	}
	return Line{Agent, text}
}

func (l *Log) mark(marked string) Line {
	event, text, _ := strings.Cut(marked, " ")
	switch event {
	case EventBegin, EventDone:
		l.open = event == EventBegin
		return Line{Agent, l.marker + marked}
	case "note":
		return Line{Note, text}
	case "error":
		return Line{Error, text}
	case EventEnd:
		return Line{End, l.marker + marked}
	}
	return Line{Output, l.marker + marked}
}
