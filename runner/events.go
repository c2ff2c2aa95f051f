package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// LogMode says which logs are read.
type LogMode string

const (
	LogFollow   LogMode = "follow"   // the lines of the log come while the build runs
	LogFailures LogMode = "failures" // only the end of the log of a build that failed is read, for its error
	LogNone     LogMode = "none"     // no log is read
)

// Events tells what happens to the build from its start to its end: its phases as
// they begin and end, and an [EventFinished] with the [Result], whose Err method
// says whether the build did what it should. The result does not wait for the log:
// only that of a build that failed waits for its reason, which the log has, for at
// most 10 seconds.
//
// With [LogFollow], the lines of the log come as well. Those that are read after
// the build's end follow the EventFinished, and an [EventLogEnd] is the last event.
// Leave the loop at EventFinished if the rest of the log does not matter. Phases
// and lines are each in order; between the two, a line may come a little later
// than what it belongs to. A log that cannot be read gives a note and does not
// hold up the rest. Where more logs are followed already than the rate of calls
// allows (see [WithLogRate]), LogFollow becomes LogFailures, and a note says so.
//
// Leaving the loop, or cancelling the context, leaves the build alone. An error
// ends the iteration: the build's state cannot be got any more.
func (b *Build) Events(ctx context.Context, mode LogMode) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		left := false
		send := func(e Event) bool {
			left = !yield(e, nil)
			return !left
		}
		f := &feed{build: b, mode: mode}
		read := f.phases
		if mode == LogFollow {
			read = f.relay
		}
		if err := read(ctx, send); err != nil && !left {
			yield(Event{}, err)
		}
	}
}

// errLeft: whoever ranges over the events has left.
var errLeft = errors.New("left")

// feed makes the events of one build.
type feed struct {
	build *Build
	mode  LogMode

	// Closed when the log has brought the build's own last line, or has come to its
	// end without it; nil where the log is not read.
	lastWord chan struct{}

	mu       sync.Mutex
	tail     tail
	complete bool
	skipped  bool // the log is not followed, because there are too many
}

// phases sends what happens to the build, and last the result.
func (f *feed) phases(ctx context.Context, send func(Event) bool) error {
	b := f.build
	info, err := b.follow(ctx, func(u update, before *Info) bool {
		if u.trouble != nil {
			return send(withBuild(note("%v: trying again", u.trouble), b.id))
		}
		for _, event := range phaseEvents(before, u.info, time.Now()) {
			if !send(event) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if !send(f.finished(ctx, *info)) {
		return leftOr(ctx)
	}
	return nil
}

// leftOr returns the context's error, or errLeft if it has not ended.
func leftOr(ctx context.Context) error { return cmp.Or(ctx.Err(), errLeft) }

// finished makes the last event of the phases.
func (f *feed) finished(ctx context.Context, info Info) Event {
	if kind := info.failure(); kind != nil && kind != ErrStopped && f.mode != LogNone {
		info.addLog(f.reasonFromLog(ctx, info))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return Event{
		Type: EventFinished, Time: time.Now(), BuildID: f.build.id, Reason: info.Reason,
		Result: &Result{Info: info, LogsComplete: f.complete},
	}
}

// reasonPatience is how long the result of a failed build waits for its reason.
const reasonPatience = 10 * time.Second

// reasonFromLog returns the end of the log: of what is followed anyway, once that
// has come to its end or the patience has.
func (f *feed) reasonFromLog(ctx context.Context, info Info) tail {
	if f.lastWord != nil {
		select {
		case <-f.lastWord:
		case <-time.After(reasonPatience):
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	followed, t := f.lastWord != nil && !f.skipped, f.tail.clone()
	f.mu.Unlock()
	if !followed {
		return f.build.readTail(ctx, info)
	}
	if !t.ended && t.err == nil {
		t.err = fmt.Errorf("%w: it was not there within %v of the build's end", ErrLogsIncomplete, reasonPatience)
	}
	return t
}

// relay joins the two sources of the events, phases and log. Each is read on its
// own, so that neither can hold up the other.
func (f *feed) relay(ctx context.Context, yield func(Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	f.lastWord = make(chan struct{})
	out := make(chan Event)
	send := func(e Event) bool {
		e.BuildID = f.build.id
		select {
		case out <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var err error
	var readers sync.WaitGroup
	readers.Go(func() {
		if err = f.phases(ctx, send); err != nil {
			cancel() // a log of a build that cannot be watched has no end
		}
	})
	readers.Go(func() { f.log(ctx, send) })
	go func() {
		readers.Wait()
		close(out)
	}()
	defer func() {
		cancel()
		for range out { // until the readers have ended
		}
	}()
	for e := range out {
		if !yield(e) {
			return errLeft
		}
	}
	if err == nil {
		yield(f.logEnd())
	}
	return err
}

// log sends the lines of the log.
func (f *feed) log(ctx context.Context, send func(Event) bool) {
	known := sync.OnceFunc(func() { close(f.lastWord) })
	defer known()
	r := f.build.newLogReader([]LogOption{Follow()})
	r.limited = true
	r.trouble = func(err error) { send(note("%v: trying again", err)) }
	err := r.read(ctx, func(line Line) bool {
		f.mu.Lock()
		f.tail.add(line)
		f.mu.Unlock()
		if line.Kind == LineEnd {
			known()
		}
		return send(Event{Type: EventLog, Time: line.Time, Line: line})
	})
	f.mu.Lock()
	f.tail.err, f.complete, f.skipped = err, err == nil, errors.Is(err, errTooManyLogs)
	f.mu.Unlock()
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrBuildNotFound) { // else it is said elsewhere
		send(note("log of build %s: %v", f.build.id, err))
	}
}

func (f *feed) logEnd() Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := Event{Type: EventLogEnd, Time: time.Now(), BuildID: f.build.id, LogsComplete: f.complete}
	if f.tail.err != nil {
		e.Note = f.tail.err.Error()
	}
	return e
}

// follow hands on each new state of the build, with the state before it, until the
// build has ended, and returns its last state. A see that returns false ends it too.
func (b *Build) follow(ctx context.Context, see func(u update, before *Info) bool) (*Info, error) {
	m := b.watch()
	defer m.leave()
	last := &Info{}
	for {
		u, _, err := m.next(ctx, nil)
		if err == nil {
			err = u.err
		}
		if err != nil {
			return last, fmt.Errorf("wait for build %s, which may go on: %w", b.id, err)
		}
		if !see(u, last) {
			return last, leftOr(ctx)
		}
		if u.trouble != nil {
			continue
		}
		if last = u.info; last.Done() {
			return last, nil
		}
	}
}
