package runner

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// logs reads the log streams of a client's builds. A few streams are read one
// by one with GetLogEvents, the others together, up to 100 in a call of
// FilterLogEvents. A stream is read in the same way from its beginning to its
// end.
type logs struct {
	calls  *calls
	api    logAPI
	pace   *pacer // of GetLogEvents
	filter *logFilter

	mu     sync.Mutex
	single int // streams that are followed one by one
	room   int // how many streams the rate is sufficient for
}

func newLogs(calls *calls, api logAPI, rate float64) *logs {
	return &logs{
		calls:  calls,
		api:    api,
		pace:   newPacer(logRates(rate)),
		filter: newLogFilter(calls, api, rate),
		room:   max(1, int(rate*logInterval.Seconds())),
	}
}

// logStream reads one stream from its beginning.
type logStream interface {
	// read returns the next events. It makes at most one call, and returns an
	// error only if that call failed.
	read(ctx context.Context) (logPage, error)
	// again returns a channel that signals when there may be more to read.
	again() <-chan time.Time
	// settle is called after the build's last line was read. It reports whether
	// lines that arrived out of order have been read too.
	settle() bool
	close()
}

// logPage is the result of one read.
type logPage struct {
	events   []logEvent
	caughtUp bool // there is no more for now
	answered bool // by the service, so that caughtUp means something
}

// logInterval is the pause before a log that has been read to its end is read
// again.
const logInterval = time.Second

// follow opens a stream of a build that may still run. It returns nil if more
// logs are already followed than the rate allows.
func (l *logs) follow(info Info) logStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.single < l.room {
		l.single++
		return &tokenStream{logs: l, info: info, leave: l.leave}
	}
	return l.filter.join(info)
}

func (l *logs) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.single--
}

// open opens a stream that is read on its own, however many are already read.
func (l *logs) open(info Info) logStream { return &tokenStream{logs: l, info: info, leave: func() {}} }

// tokenStream reads a stream with GetLogEvents. Its position is the service's
// token, because several events can have the same time.
type tokenStream struct {
	logs  *logs
	info  Info
	token *string
	more  bool // the last page was not the end
	leave func()
}

func (s *tokenStream) read(ctx context.Context) (logPage, error) {
	out, err := s.logs.get(ctx, s.info, s.token, true)
	if err != nil {
		s.more = false
		return logPage{}, err
	}
	p := logPage{events: eventsOf(out.Events), answered: true}
	// An empty page is not the end of a stream. At its end, the service returns
	// the token that it was given.
	p.caughtUp = s.token != nil && aws.ToString(s.token) == aws.ToString(out.NextForwardToken)
	s.more = !p.caughtUp
	if out.NextForwardToken != nil {
		s.token = out.NextForwardToken
	}
	return p, nil
}

func (s *tokenStream) again() <-chan time.Time {
	if s.more {
		return time.After(0) // the pacer spaces the calls
	}
	return time.After(logInterval)
}

func (s *tokenStream) settle() bool { return true }
func (s *tokenStream) close()       { s.leave() }

// get makes one call for a page of a build's log: the page after the token, or
// the first or last page.
func (l *logs) get(ctx context.Context, info Info, token *string, fromHead bool) (out *cloudwatchlogs.GetLogEventsOutput, err error) {
	if err := l.pace.wait(ctx); err != nil {
		return nil, err
	}
	err = l.calls.once(ctx, "GetLogEvents", func(ctx context.Context) (err error) {
		out, err = l.api.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName:  &info.logGroup,
			LogStreamName: &info.logStream,
			StartFromHead: &fromHead,
			NextToken:     token,
		})
		return err
	})
	l.pace.adapt(err)
	return out, err
}

func eventsOf(events []logtypes.OutputLogEvent) []logEvent {
	out := make([]logEvent, len(events))
	for i, e := range events {
		out[i] = logEvent{aws.ToInt64(e.Timestamp), aws.ToString(e.Message)}
	}
	return out
}
