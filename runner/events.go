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

// LogMode selects which logs are read.
type LogMode string

const (
	LogFollow   LogMode = "follow"   // every line of the log, while the build runs
	LogFailures LogMode = "failures" // only the end of the log of a build that failed, for its error
	LogNone     LogMode = "none"     // no log
)

// Events iterates over what happens to the build from its start to its end: its
// phases as they begin and end, and an [EventFinished] with the [Result], whose
// Err method returns the error of a build that did not succeed. The result does
// not wait for the log, with one exception: the result of a failed build waits
// for its reason, which is in the log, for at most 10 seconds.
//
// With [LogFollow], the events include the lines of the log. Lines that are
// read after the build's end follow the EventFinished, and an [EventLogEnd] is
// the last event. Leave the loop at EventFinished if you do not need the rest
// of the log. Phases are in order, and so are lines. A line may come a little
// later than the phase it belongs to. If the log cannot be read, Events yields
// a note and goes on. If more logs are already followed than the rate of calls
// allows (see [WithLogRate]), LogFollow becomes LogFailures, and a note says
// so.
//
// Leaving the loop or cancelling the context does not stop the build. An error
// ends the iteration and means that the build's state can no longer be read.
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

// errLeft means that the caller has left the loop over the events.
var errLeft = errors.New("left")

// feed produces the events of one build.
type feed struct {
	build *Build
	mode  LogMode

	// lastWord is closed when the log has been read up to the build's own last
	// line, or to its end without that line. It is nil if the log is not read.
	lastWord chan struct{}

	mu       sync.Mutex
	tail     tail
	complete bool
	skipped  bool // the log is not followed, because there are too many
}

// phases sends the events of the build's phases, and then its result.
func (f *feed) phases(ctx context.Context, send func(Event) bool) error {
	b := f.build
	info, err := b.follow(ctx, func(u update, before *Info) bool {
		if u.trouble != nil {
			return send(withBuild(note("%v: trying again", u.trouble), b.id))
		}
		for _, event := range phaseEvents(before, u.info, time.Now().UTC()) {
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

// finished returns the last event of the phases.
func (f *feed) finished(ctx context.Context, info Info) Event {
	if kind := info.failure(); kind != nil && kind != ErrStopped && f.mode != LogNone {
		info.addLog(f.reasonFromLog(ctx, info))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return Event{
		Type: EventFinished, Time: time.Now().UTC(), BuildID: f.build.id, Reason: info.Reason,
		Result: &Result{Info: info, LogsComplete: f.complete},
	}
}

// reasonPatience is how long the result of a failed build waits for its reason.
const reasonPatience = 10 * time.Second

// reasonFromLog returns the end of the log. If the log is followed anyway,
// reasonFromLog waits until it has been read, for reasonPatience at most.
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

// relay merges the events of phases and log. Each of the two is read by a
// goroutine of its own, so that neither delays the other.
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

// log sends the lines of the log as events.
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
	e := Event{Type: EventLogEnd, Time: time.Now().UTC(), BuildID: f.build.id, LogsComplete: f.complete}
	if f.tail.err != nil {
		e.Note = f.tail.err.Error()
	}
	return e
}

// follow calls see with each new state of the build and the state before it,
// and returns the last state when the build has ended. It returns early if see
// returns false.
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
