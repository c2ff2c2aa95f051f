package runner

import (
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// LineKind says where a line of a log comes from.
type LineKind string

const (
	LineAgent  LineKind = "agent"  // CodeBuild's agent, or the script's source as the agent echoes it
	LineOutput LineKind = "output" // the build's own output
	LineNote   LineKind = "note"   // a remark of the build script
	LineError  LineKind = "error"  // why the build script ended the build
	LineEnd    LineKind = "end"    // the last line that the build itself writes
)

var lineKinds = map[buildspec.LineKind]LineKind{
	buildspec.Agent:  LineAgent,
	buildspec.Output: LineOutput,
	buildspec.Note:   LineNote,
	buildspec.Error:  LineError,
	buildspec.End:    LineEnd,
}

// Line is a line of a build's log, without its line end.
type Line struct {
	Time time.Time `json:"time"`
	Kind LineKind  `json:"kind"`
	Text string    `json:"text"` // without the marker of a note or an error
	Raw  string    `json:"-"`    // as it is in the log
}

// Own tells whether the line is for people who want to know about their build:
// not the agent's.
func (l Line) Own() bool { return l.Kind == LineOutput || l.Kind == LineNote || l.Kind == LineError }

// maxLine bounds a line that does not end, in bytes. An event has at most 1 MiB.
const maxLine = 1 << 20

// logEvent is an event of a log stream.
type logEvent struct {
	at      int64 // milliseconds, by the clock of the build's machine
	message string
}

// cursor makes lines of a log's events.
type cursor struct {
	log      *buildspec.Log
	partial  strings.Builder // a line whose end is still to come
	began    time.Time       // of the partial line
	newest   int64           // of the events so far
	sentinel bool            // the build has written its last line
}

func newCursor(buildID string) *cursor { return &cursor{log: buildspec.NewLog(buildID)} }

// add takes events and returns their complete lines. An event that comes after
// younger ones is not a part of the line that has begun.
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

// split adds a message's lines. A line may be spread over several events.
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

// rest returns the last line of a log that has ended, if it had no end.
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
