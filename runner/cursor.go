package runner

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

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

// cursor reads a log stream page by page. Its position is the service's own
// token: events arrive late and share milliseconds, so times cannot say where
// one was.
type cursor struct {
	token    *string
	log      *buildspec.Log
	partial  strings.Builder // a line whose end is still to come
	began    time.Time       // of the partial line
	sentinel bool            // the build has written its last line
	lines    int             // read so far
}

func newCursor(buildID string) *cursor {
	return &cursor{log: buildspec.NewLog(buildID)}
}

// page takes a page and returns its complete lines. It has caught up with the
// stream when the service returns the token that it was given; an empty page
// alone means nothing.
func (c *cursor) page(out *cloudwatchlogs.GetLogEventsOutput) (lines []Line, caughtUp bool) {
	for _, event := range out.Events {
		lines = c.split(lines, time.UnixMilli(aws.ToInt64(event.Timestamp)).UTC(), aws.ToString(event.Message))
	}
	caughtUp = c.token != nil && aws.ToString(c.token) == aws.ToString(out.NextForwardToken)
	if out.NextForwardToken != nil {
		c.token = out.NextForwardToken
	}
	c.lines += len(lines)
	return lines, caughtUp
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
	c.lines++
	return []Line{c.take()}
}

func (c *cursor) take() Line {
	raw := strings.TrimSuffix(c.partial.String(), "\r")
	c.partial.Reset()
	classified := c.log.Line(raw)
	c.sentinel = c.sentinel || classified.Kind == buildspec.End
	return Line{Time: c.began, Kind: lineKinds[classified.Kind], Text: classified.Text, Raw: raw}
}
