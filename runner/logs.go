package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

const (
	// Events reach CloudWatch Logs with a delay. Missing lines are waited for this
	// long after a build's end; for a shorter time if the build never came to write
	// its last line, so that nobody can tell whether there are more. Only time
	// counts in which the service answered.
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
// end; without a machine it has no log: no lines and no error. A call that fails
// is made again; the iteration ends with its error if nothing could be read for
// 10 minutes.
func (b *Build) Logs(ctx context.Context, opts ...LogOption) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r := b.newLogReader(opts)
		err := r.read(ctx, func(line Line) bool { return yield(line, nil) })
		if err != nil && err != errLogBreak {
			yield(Line{}, fmt.Errorf("log of build %s: %w", b.id, err))
		}
	}
}

// errLogBreak: whoever ranges over the log has left.
var errLogBreak = errors.New("left")

// logReader reads the log of one build.
type logReader struct {
	build   *Build
	follow  bool
	limited bool        // give up where too many logs are followed
	trouble func(error) // called at times while nothing can be read

	cursor   *cursor
	info     Info // the build's state, as last seen
	seen     bool // anew since the last page
	stream   logStream
	ended    bool          // the build has been seen to have ended
	old      bool          // and had ended long before that
	quiet    time.Duration // for how long there was nothing more since then
	answered time.Time     // when the service last answered; zero after a failure
	failing  time.Time     // since when it does not
	missing  error         // the stream is not there
	told     notice
}

func (b *Build) newLogReader(opts []LogOption) *logReader {
	r := &logReader{build: b, cursor: newCursor(b.id), trouble: func(error) {}}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

func (r *logReader) read(ctx context.Context, yield func(Line) bool) error {
	m := r.build.watch()
	defer m.leave()
	defer r.close()
	if err := r.wait(ctx, m, nil); err != nil {
		return err
	}
	for {
		p, err := r.readPage(ctx, yield)
		if err != nil {
			return err
		}
		if len(p.events) > 0 && !p.caughtUp {
			continue
		}
		if done, err := r.drained(p); done {
			return r.finish(err, yield)
		}
		if err := r.wait(ctx, m, r.again()); err != nil {
			return err
		}
	}
}

func (r *logReader) close() {
	if r.stream != nil {
		r.stream.close()
	}
}

// again tells when to read again.
func (r *logReader) again() <-chan time.Time {
	if r.stream == nil {
		return time.After(logInterval)
	}
	return r.stream.again()
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
		r.info, r.seen = *u.info, true
		if r.info.Done() && !r.ended {
			// Two times of the service's: its answer's, and the build's end.
			r.ended, r.old = true, r.info.asOf.Sub(r.info.Ended) > drainOld
			return nil // the rest of the log may be there at once
		}
		if alarm == nil {
			return nil
		}
	}
}

// readPage reads one page, if it is known where.
func (r *logReader) readPage(ctx context.Context, yield func(Line) bool) (logPage, error) {
	if err := r.open(); err != nil {
		return logPage{}, err
	}
	if r.stream == nil {
		return r.passWithoutPlace(), nil
	}
	p, err := r.stream.read(ctx)
	if ctx.Err() != nil {
		return p, ctx.Err()
	}
	if err != nil { // which does not take back the events that were read before
		p.answered, err = r.evaluate(err)
		p.caughtUp = true
	} else if p.answered {
		r.missing, r.failing, r.told = nil, time.Time{}, notice{}
	}
	for _, line := range r.cursor.add(p.events) {
		if !yield(line) {
			return p, errLogBreak
		}
	}
	return r.pass(p), err
}

// open begins to read the stream once its place is known. A stream that is read
// together with others has to exist, which it does once the build has a machine.
func (r *logReader) open() error {
	logs := r.build.client.logs
	switch {
	case r.stream != nil || r.info.logStream == "":
		return nil
	case !r.follow || r.info.Done():
		r.stream = logs.open(r.info)
	case !r.info.hadMachine():
		return nil
	default:
		r.stream = logs.follow(r.info)
	}
	if r.stream == nil && r.limited {
		return errTooManyLogs
	}
	if r.stream == nil {
		r.stream = logs.open(r.info)
	}
	return nil
}

// passWithoutPlace counts the time in which the service answered, and did not say
// where the log is.
func (r *logReader) passWithoutPlace() logPage {
	p := logPage{caughtUp: true, answered: r.seen}
	if r.seen {
		r.seen = false
		return r.pass(p)
	}
	return p
}

// pass counts the time in which there was nothing more. The time between two answers
// counts as far as the service may have been asked all the while.
func (r *logReader) pass(p logPage) logPage {
	now := time.Now()
	switch {
	case !p.answered:
		r.answered = time.Time{}
		return p
	case len(p.events) > 0 || !p.caughtUp:
		r.quiet = 0
	case r.ended && !r.answered.IsZero():
		r.quiet += min(now.Sub(r.answered), maxInterval)
	}
	r.answered = now
	return p
}

// evaluate returns nil for an error that may pass, and whether the service answered
// with it that there is nothing to read.
func (r *logReader) evaluate(err error) (answered bool, _ error) {
	explained := explain("read its log stream "+r.info.logStream, err)
	_, together := r.stream.(*tap)
	switch {
	case hasCode(err, "ResourceNotFoundException"):
		r.missing, r.failing = explained, time.Time{} // not yet, or not any more
		return true, nil
	case together && causeOf(err) == ErrAccessDenied: // to FilterLogEvents
		r.stream.close()
		r.stream = r.build.client.logs.open(r.info)
		return false, nil
	case !isTransient(err):
		return false, explained
	}
	if r.failing.IsZero() {
		r.failing = time.Now()
	}
	if time.Since(r.failing) >= silencePatience {
		return false, fmt.Errorf("%w: %w", ErrLogsIncomplete, explained)
	}
	if r.told.isDue() {
		r.trouble(explained)
	}
	return false, nil
}

// drained decides, when all that is there has been read, whether that is all
// there will be.
func (r *logReader) drained(p logPage) (done bool, err error) {
	switch {
	case !p.answered || !p.caughtUp:
		return false, nil
	case !r.info.Done():
		return !r.follow, nil
	case r.cursor.sentinel:
		return r.stream.settle(), nil
	case r.stream == nil && !r.info.hadMachine():
		return true, nil // it has no log
	case r.quiet < r.patience():
		return false, nil
	case r.stream == nil:
		return true, fmt.Errorf("%w: CodeBuild does not say where it is", ErrLogsIncomplete)
	case r.missing != nil && !r.info.hadMachine():
		return true, nil
	case r.missing != nil:
		return true, fmt.Errorf("%w: it is not there, or its retention has ended: %w", ErrLogsIncomplete, r.missing)
	case !r.info.hasPhase(phaseBuild):
		return true, nil // the build had nothing to say yet
	}
	return true, fmt.Errorf("%w: the build's own last line is not there", ErrLogsIncomplete)
}

func (r *logReader) patience() time.Duration {
	switch {
	case r.old:
		return 0
	case r.info.hasPhase(phasePostBuild), r.stream == nil:
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
