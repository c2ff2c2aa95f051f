package buildspec

import "strings"

// LineKind tells where a line of a build's log comes from.
type LineKind int

const (
	Agent  LineKind = iota // CodeBuild's agent, or the script's source as the agent echoes it
	Output                 // the build's own output: BuildKit's progress
	Note                   // a remark of the script, such as a step down to a simpler builder
	Error                  // why the script ended the build
	End                    // the sentinel: all that the build had to say is before it
)

// Line is a line of a build's log. Text is without the marker for a Note and an
// Error, else the line as it is.
type Line struct {
	Kind LineKind
	Text string
}

// Log tells apart the lines of one build's log. Give it every line, in order.
//
// The script marks its lines with "[flexbuild <build id>]" at their start. The
// id is filled in when the script runs, so the echo of its source never looks
// like a marker, and BuildKit prefixes what RUN steps print, so they cannot
// write one.
type Log struct {
	marker string
	open   bool // the script is running: its output follows
}

// NewLog returns a Log for the build with that id (project:uuid).
func NewLog(buildID string) *Log {
	return &Log{marker: "[flexbuild " + buildID + "] "}
}

// Line classifies the next line, given without its line end.
func (l *Log) Line(text string) Line {
	if marked, ok := strings.CutPrefix(text, l.marker); ok {
		return l.mark(marked)
	}
	if strings.HasPrefix(text, "[Container] ") {
		l.open = false // the script was killed before it could say that it is done
	}
	if l.open {
		return Line{Output, text}
	}
	return Line{Agent, text}
}

func (l *Log) mark(marked string) Line {
	event, text, _ := strings.Cut(marked, " ")
	switch event {
	case "begin", "done":
		l.open = event == "begin"
		return Line{Agent, l.marker + marked}
	case "note":
		return Line{Note, text}
	case "error":
		return Line{Error, text}
	case "end":
		return Line{End, l.marker + marked}
	}
	return Line{Output, l.marker + marked}
}
