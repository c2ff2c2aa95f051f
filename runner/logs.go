package runner

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

const (
	// How often a log that has been read to its end is asked for more.
	logInterval = time.Second

	// Events reach CloudWatch Logs with a delay. Missing lines are waited for this
	// long after a build's end; for a shorter time if the build never came to write
	// its last line, so that nobody can tell whether there are more.
	drainPatience = 20 * time.Second
	drainUnknown  = 2 * time.Second
	// A build that ended longer ago than this has all its events in place.
	drainOld = time.Minute
)

// LogOption changes what [Build.Logs] reads.
type LogOption func(*logReader)

// Follow goes on reading until the build has ended. Without it, the log of a
// build that still runs is read up to now.
func Follow() LogOption { return func(r *logReader) { r.follow = true } }

// Logs reads the build's log from its start, in order. The build's own lines are
// told apart from the agent's ([Line.Own]).
//
//	for line, err := range build.Logs(ctx, runner.Follow()) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(line.Text)
//	}
//
// The log of a build that has ended is read up to the build's last line. If that
// does not come, the iteration ends with [ErrLogsIncomplete]; this is so for
// builds that were stopped or timed out before they could write it. One that
// ended before its BUILD phase has only the agent's lines, and is read to its
// end; without a machine it has no log: no lines and no error.
func (b *Build) Logs(ctx context.Context, opts ...LogOption) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r := &logReader{build: b, cursor: newCursor(b.id)}
		for _, opt := range opts {
			opt(r)
		}
		err := r.read(ctx, func(line Line) bool { return yield(line, nil) })
		if err != nil && err != errLogBreak {
			yield(Line{}, fmt.Errorf("log of build %s: %w", b.id, err))
		}
	}
}

// errLogBreak: whoever ranges over the log has left.
var errLogBreak = fmt.Errorf("left")

// logReader reads the log of one build.
type logReader struct {
	build   *Build
	follow  bool
	cursor  *cursor
	info    Info      // the build's state, as last seen
	ended   time.Time // when the build was first seen ended
	failing time.Time // since when calls fail
	missing error     // the stream is not there
}

func (r *logReader) read(ctx context.Context, yield func(Line) bool) error {
	client := r.build.client
	m := client.watcher.watch(r.build.id, r.build.grace)
	defer m.leave()
	if err := r.wait(ctx, m, nil); err != nil {
		return err
	}
	for {
		caughtUp, err := r.readPage(ctx, yield)
		if err != nil {
			return err
		}
		if !caughtUp {
			continue
		}
		if done, err := r.drained(client.clock.Now()); done {
			return r.finish(err, yield)
		}
		alarm := client.clock.NewTimer(logInterval)
		err = r.wait(ctx, m, alarm.Chan())
		alarm.Stop()
		if err != nil {
			return err
		}
	}
}

// wait takes news of the build until the alarm rings; without an alarm, until
// there are some.
func (r *logReader) wait(ctx context.Context, m *watch, alarm <-chan time.Time) error {
	for {
		u, some, err := m.next(ctx, alarm)
		if err != nil || !some {
			return err
		}
		if u.err != nil {
			return u.err
		}
		if u.trouble != nil {
			continue
		}
		r.info = u.info
		if r.info.Done() {
			if r.ended.IsZero() {
				r.ended = r.build.client.clock.Now()
				return nil // the rest of the log may be there at once
			}
		}
		if alarm == nil {
			return nil
		}
	}
}

// readPage reads one page. It has caught up where there is nothing to read yet.
func (r *logReader) readPage(ctx context.Context, yield func(Line) bool) (caughtUp bool, err error) {
	if r.info.logStream == "" {
		return true, nil
	}
	if err := r.build.client.logPace.wait(ctx); err != nil {
		return false, err
	}
	out, err := r.get(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	r.build.client.logPace.learn(err)
	if err != nil {
		return true, r.judge(err)
	}
	r.failing, r.missing = time.Time{}, nil
	lines, caughtUp := r.cursor.page(out)
	for _, line := range lines {
		if !yield(line) {
			return false, errLogBreak
		}
	}
	return caughtUp, nil
}

func (r *logReader) get(ctx context.Context) (*cloudwatchlogs.GetLogEventsOutput, error) {
	return r.build.client.getLog(ctx, r.info, r.cursor.token, true)
}

// getLog makes one attempt to get a page of a build's log: the next one after the
// token, or the first or last one.
func (c *Client) getLog(ctx context.Context, info Info, token *string, fromHead bool) (*cloudwatchlogs.GetLogEventsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName:  &info.logGroup,
		LogStreamName: &info.logStream,
		StartFromHead: &fromHead,
		NextToken:     token,
	}, func(o *cloudwatchlogs.Options) { o.Retryer = aws.NopRetryer{} })
}

// judge returns nil for an error that may pass.
func (r *logReader) judge(err error) error {
	explained := explain("read its log stream "+r.info.logStream, err)
	if hasCode(err, "ResourceNotFoundException") {
		r.missing = explained // not yet, or not any more
		return nil
	}
	if isThrottle(err) {
		return nil // the pacer slows down
	}
	now := r.build.client.clock.Now()
	if r.failing.IsZero() {
		r.failing = now
	}
	if !isTransient(err) || now.Sub(r.failing) >= outagePatience {
		return explained
	}
	return nil
}

// drained decides, when all that is there has been read, whether that is all
// there will be.
func (r *logReader) drained(now time.Time) (done bool, err error) {
	switch {
	case !r.info.Done():
		return !r.follow, nil
	case r.info.logStream == "", r.cursor.sentinel:
		return true, nil
	case now.Sub(r.ended) < r.patience():
		return false, nil
	case r.missing != nil:
		return true, fmt.Errorf("%w: it is not there, or its retention has ended: %w", ErrLogsIncomplete, r.missing)
	case !r.info.hasPhase(phaseBuild):
		return true, nil // the build had nothing to say yet
	}
	return true, fmt.Errorf("%w: the build's own last line is not there", ErrLogsIncomplete)
}

func (r *logReader) patience() time.Duration {
	switch {
	case r.ended.Sub(r.info.Ended) > drainOld:
		return 0
	case r.info.hasPhase(phasePostBuild):
		return drainPatience
	}
	return drainUnknown
}

func (r *logReader) finish(err error, yield func(Line) bool) error {
	if !r.info.Done() {
		return err // a line that has begun will be continued
	}
	for _, line := range r.cursor.rest() {
		if !yield(line) {
			return errLogBreak
		}
	}
	return err
}
