package runner

import (
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// LineKind is the origin of a log line.
type LineKind string

const (
	LineAgent  LineKind = "agent"  // written by CodeBuild's agent, which also echoes the script's source
	LineOutput LineKind = "output" // the build's own output
	LineNote   LineKind = "note"   // a note of the build script
	LineError  LineKind = "error"  // the reason for which the build script ended the build
	LineEnd    LineKind = "end"    // the last line that the build itself writes
)

var lineKinds = map[buildspec.LineKind]LineKind{
	buildspec.Agent:  LineAgent,
	buildspec.Output: LineOutput,
	buildspec.Note:   LineNote,
	buildspec.Error:  LineError,
	buildspec.End:    LineEnd,
}

// Line is a line of a build's log, without its line break.
type Line struct {
	Time time.Time `json:"time"`
	Kind LineKind  `json:"kind"`
	Text string    `json:"text"` // without the marker of a note or an error
	Raw  string    `json:"-"`    // as it is in the log
}

// Own reports whether the build itself wrote the line, as output, a note or an
// error. The agent's lines, and the marker of the end, are not its own.
func (l Line) Own() bool { return l.Kind == LineOutput || l.Kind == LineNote || l.Kind == LineError }

// maxLine is the length in bytes at which a line without a line break is cut.
// An event has at most 1 MiB.
const maxLine = 1 << 20

// logEvent is an event of a log stream.
type logEvent struct {
	at      int64 // milliseconds, by the clock of the build's machine
	message string
}

// cursor assembles lines from a log's events.
type cursor struct {
	log      *buildspec.Log
	partial  strings.Builder // a line that is not complete yet
	began    time.Time       // time of the partial line's first event
	newest   int64           // time of the youngest event so far
	sentinel bool            // the build has written its last line
}

func newCursor(buildID string) *cursor { return &cursor{log: buildspec.NewLog(buildID)} }

// add takes events and returns the lines that they complete. An event that
// comes after younger ones does not continue the line that has begun.
func (c *cursor) add(events []logEvent) (lines []Line) {
	for _, e := range events {
		at := time.UnixMilli(e.at).UTC()
		if e.at >= c.newest {
			c.newest = e.at
			lines = c.split(lines, at, e.message)
			continue
		}
		for text := range strings.Lines(e.message) {
			lines = append(lines, c.line(at, strings.TrimSuffix(text, "\n")))
		}
	}
	return lines
}

// split appends the lines of a message. A line may be spread over several
// events.
func (c *cursor) split(lines []Line, at time.Time, message string) []Line {
	for message != "" {
		part, rest, ended := strings.Cut(message, "\n")
		if c.partial.Len() == 0 {
			c.began = at
		}
		c.partial.WriteString(part)
		if ended || c.partial.Len() >= maxLine {
			lines = append(lines, c.take())
		}
		message = rest
	}
	return lines
}

// rest returns the last line of a log that has ended, if the line has no line
// break.
func (c *cursor) rest() []Line {
	if c.partial.Len() == 0 {
		return nil
	}
	return []Line{c.take()}
}

func (c *cursor) take() Line {
	raw := c.partial.String()
	c.partial.Reset()
	return c.line(c.began, raw)
}

func (c *cursor) line(at time.Time, raw string) Line {
	raw = strings.TrimSuffix(raw, "\r")
	classified := c.log.Line(raw)
	c.sentinel = c.sentinel || classified.Kind == buildspec.End
	return Line{Time: at, Kind: lineKinds[classified.Kind], Text: classified.Text, Raw: raw}
}
