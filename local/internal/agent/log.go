package agent

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/jonboulle/clockwork"
)

const (
	flushInterval  = 200 * time.Millisecond
	maxPending     = 1 << 20   // bytes; a build that prints faster than the log is stored has to wait
	maxEvent       = 256 << 10 // bytes; CloudWatch Logs' classic limit for an event
	maxBatch       = 1 << 20   // bytes; CloudWatch Logs' limit for a call
	maxBatchEvents = 10_000    // its other limit
	eventOverhead  = 26        // bytes that CloudWatch Logs counts for each event; they bound the number of empty lines
)

// A buildLog is the log of a build. Lines are stored in batches: the first line
// at once, later ones every 200 ms, and the rest when flush is called. A batch
// that cannot be stored is lost. The next batch that can be stored says so, and
// hole does at the end. It is safe for concurrent use.
type buildLog struct {
	clock clockwork.Clock
	keep  func([]types.InputLogEvent) error // nil for a build without a log
	fail  func(error)                       // called if events could not be stored

	mu      sync.Mutex
	pending []types.InputLogEvent
	hidden  *strings.Replacer // replaces secrets; nil without any
	size    int

	keeping sync.Mutex // keeps batches in order, and guards the next three
	lost    int        // events that could not be stored since the last successful batch
	allLost int        // events that could not be stored at all
	problem error      // why the last of these could not

	wake    chan struct{}
	quit    chan struct{}
	flusher sync.WaitGroup
}

func newBuildLog(clock clockwork.Clock, keep func([]types.InputLogEvent) error, fail func(error)) *buildLog {
	l := &buildLog{clock: clock, keep: keep, fail: fail, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	l.flusher.Go(l.flushInTime)
	return l
}

// close stores the pending lines and ends the log.
func (l *buildLog) close() {
	close(l.quit)
	l.flusher.Wait()
	l.flush()
}

// hole returns an error that says how much of the log is lost, or nil.
func (l *buildLog) hole() error {
	l.keeping.Lock()
	defer l.keeping.Unlock()
	if l.allLost == 0 {
		return nil
	}
	return fmt.Errorf("the log is incomplete: %d of its events are lost, because they could not be stored: %w", l.allLost, l.problem)
}

func (l *buildLog) flushInTime() {
	for {
		select {
		case <-l.wake:
		case <-l.quit:
			return
		}
		l.flush()
		select {
		case <-l.clock.After(flushInterval):
		case <-l.quit:
			return
		}
	}
}

// flush stores the lines that were written so far.
func (l *buildLog) flush() {
	l.keeping.Lock()
	defer l.keeping.Unlock()
	l.mu.Lock()
	events := l.pending
	l.pending, l.size = nil, 0
	l.mu.Unlock()
	if len(events) == 0 || l.keep == nil {
		return
	}
	for len(events) > 0 {
		n := batch(events)
		l.store(events[:n])
		events = events[n:]
	}
}

// store stores a batch. The first one after others that are lost begins with an
// event that says so.
func (l *buildLog) store(events []types.InputLogEvent) {
	all := events
	if l.lost > 0 {
		at := time.UnixMilli(*events[0].Timestamp)
		hole := event(at, header(at)+fmt.Sprintf("%d events of this log are lost here\n", l.lost))
		all = slices.Insert(slices.Clone(events), 0, hole)
	}
	if err := l.keep(all); err != nil {
		l.lost += len(events)
		l.allLost += len(events)
		l.problem = err
		l.fail(err)
		return
	}
	l.lost = 0
}

// batch returns how many events fit into one call of PutLogEvents, with space
// for one more.
func batch(events []types.InputLogEvent) int {
	size := maxEvent
	for i, e := range events {
		size += len(*e.Message) + eventOverhead
		if i == maxBatchEvents-1 || size > maxBatch {
			return max(i, 1)
		}
	}
	return len(events)
}

func event(at time.Time, message string) types.InputLogEvent {
	return types.InputLogEvent{Timestamp: aws.Int64(at.UnixMilli()), Message: &message}
}

// agent writes lines in the form of the agent, which begin with the time.
func (l *buildLog) agent(format string, args ...any) {
	l.text(header(l.clock.Now()) + fmt.Sprintf(format, args...))
}

// header returns the beginning of the agent's lines.
func header(now time.Time) string {
	return "[Container] " + now.UTC().Format("2006/01/02 15:04:05.000000") + " "
}

// text writes text that may have several lines.
func (l *buildLog) text(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		l.line(line)
	}
}

// line writes one line, which is passed without its line break.
func (l *buildLog) line(line string) { l.write(line + "\n") }

// write writes a line, or a part of a very long one. Bytes that are not UTF-8
// are replaced, because events are text.
func (l *buildLog) write(text string) {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	l.mu.Lock()
	if l.hidden != nil {
		text = l.hidden.Replace(text)
	}
	now := l.clock.Now()
	if n := len(l.pending); n > 0 { // a call's events are in order, even if the clock was set back
		now = time.UnixMilli(max(now.UnixMilli(), *l.pending[n-1].Timestamp))
	}
	for _, part := range split(text, maxEvent) {
		l.pending = append(l.pending, event(now, part))
		l.size += len(part) + eventOverhead
	}
	full := l.size > maxPending
	l.mu.Unlock()
	if full {
		l.flush()
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// split cuts text into parts of at most size bytes, between characters.
func split(text string, size int) []string {
	var parts []string
	for len(text) > size {
		end := cut(text, size)
		parts = append(parts, text[:end])
		text = text[end:]
	}
	return append(parts, text)
}

// cut returns the end of the last character that fits into size bytes.
func cut(text string, size int) int {
	end := size
	for end > size-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return end
}
