package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

const (
	// Events reach CloudWatch Logs with a delay. drainPatience is how long
	// missing lines are waited for after a build's end. drainUnknown is shorter
	// and applies if the build did not come to write its last line, because
	// nobody can know then whether more lines will come. Only time in which the
	// service answers is counted.
	drainPatience = 20 * time.Second
	drainUnknown  = 2 * time.Second
	// The log of a build that ended longer ago than drainOld is taken to be
	// complete.
	drainOld = time.Minute
)

// LogOption changes how [Build.Logs] reads.
type LogOption func(*logReader)

// Follow makes Logs read until the build has ended. Without it, Logs reads what
// a running build has logged so far.
func Follow() LogOption { return func(r *logReader) { r.follow = true } }

// Logs iterates over the lines of the build's log from its start, in order.
// [Line.Own] distinguishes the build's own lines from the agent's.
//
//	for line, err := range build.Logs(ctx, runner.Follow()) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(line.Text)
//	}
//
// The log of a build that has ended is read up to the last line that the build
// itself writes. If that line does not come, the iteration ends with
// [ErrLogsIncomplete]. That is the case for builds that were stopped or timed
// out before they wrote it. A build that ended before its BUILD phase has only
// the agent's lines, which are read to the end. A build that got no machine has
// no log: Logs yields no lines and no error.
//
// A failed call is repeated. The iteration ends with its error if nothing could
// be read for 10 minutes.
func (b *Build) Logs(ctx context.Context, opts ...LogOption) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r := b.newLogReader(opts)
		err := r.read(ctx, func(line Line) bool { return yield(line, nil) })
		if err != nil && err != errLogBreak {
			yield(Line{}, fmt.Errorf("log of build %s: %w", b.id, err))
		}
	}
}

// errLogBreak means that the caller has left the loop over the log.
var errLogBreak = errors.New("left")

// logReader reads the log of one build.
type logReader struct {
	build   *Build
	follow  bool
	limited bool        // return errTooManyLogs if too many logs are followed
	trouble func(error) // called from time to time while nothing can be read

	cursor   *cursor
	info     Info // the build's state, as last seen
	seen     bool // anew since the last page
	stream   logStream
	ended    bool          // the build has ended
	old      bool          // the build ended long before the log was read
	quiet    time.Duration // how long there has been no new line since the build's end
	answered time.Time     // when the service last answered; zero after a failure
	failing  time.Time     // since when calls fail; zero if the last one succeeded
	missing  error         // the error of the last call if the stream does not exist
	notices  notice
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

// again returns a channel that signals when to read again.
func (r *logReader) again() <-chan time.Time {
	if r.stream == nil {
		return time.After(logInterval)
	}
	return r.stream.again()
}

// wait reads updates of the build's state until the alarm fires. Without an
// alarm it returns after the first update.
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
			// Both times are by the service's clock.
			r.ended, r.old = true, r.info.asOf.Sub(r.info.Ended) > drainOld
			return nil // the rest of the log may be there at once
		}
		if alarm == nil {
			return nil
		}
	}
}

// readPage reads one page of the log, if the log's place is known.
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
	if err != nil { // events that were read before the error are still yielded
		p.answered, err = r.evaluate(err)
		p.caughtUp = true
	} else if p.answered {
		r.missing, r.failing, r.notices = nil, time.Time{}, notice{}
	}
	for _, line := range r.cursor.add(p.events) {
		if !yield(line) {
			return p, errLogBreak
		}
	}
	return r.pass(p), err
}

// open opens the stream once its place is known. A stream that is read together
// with others has to exist, which is the case once the build has a machine.
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

// passWithoutPlace counts the time in which the service answered without saying
// where the log is.
func (r *logReader) passWithoutPlace() logPage {
	p := logPage{caughtUp: true, answered: r.seen}
	if r.seen {
		r.seen = false
		return r.pass(p)
	}
	return p
}

// pass counts the time in which there were no new lines. The time between two
// answers counts only as far as the service was asked regularly.
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

// evaluate returns nil for an error that may be temporary. answered reports
// whether the error is the service's answer that there is nothing to read.
func (r *logReader) evaluate(err error) (answered bool, _ error) {
	explained := explain("read its log stream "+r.info.logStream, err)
	_, together := r.stream.(*tap)
	switch {
	case hasCode(err, "ResourceNotFoundException"):
		r.missing, r.failing = explained, time.Time{} // it does not exist yet, or was deleted
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
	if r.notices.isDue() {
		r.trouble(explained)
	}
	return false, nil
}

// drained reports whether the log has been read to its end. It is called when
// everything that is available has been read.
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
		return true, nil // the build itself had not logged anything yet
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
		return err // the line will be continued
	}
	for _, line := range r.cursor.rest() {
		if !yield(line) {
			return errLogBreak
		}
	}
	return err
}
