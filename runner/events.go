package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Events tells what happens to the build from its start to its end: phases as
// they begin and end, the lines of the log, and last an [EventFinished] with the
// [Result], whose Err method says whether the build did what it should. Phases
// and lines are each in order; between the two, a line may come a little later
// than what it belongs to. A log that cannot be read gives a note and does not
// hold up the rest.
//
// Leaving the loop, or cancelling the context, leaves the build alone. An error
// ends the iteration: the build's state cannot be got any more.
func (b *Build) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := startFeed(ctx, b)
		defer f.end()
		for event := range f.out {
			if !yield(event, nil) {
				return
			}
		}
		if f.err != nil {
			yield(Event{}, f.err)
			return
		}
		yield(f.finished(), nil)
	}
}

// feed joins the two sources of a build's events. Each is read on its own, so
// that neither can hold up the other.
type feed struct {
	build  *Build
	ctx    context.Context
	cancel context.CancelFunc
	out    chan Event // closed when both readers have ended

	// Set by the readers, to be read once out is closed.
	last         Info
	err          error
	tail         tail
	logsComplete bool
}

func startFeed(ctx context.Context, b *Build) *feed {
	f := &feed{build: b, out: make(chan Event)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(f.readPhases)
	readers.Go(f.readLog)
	go func() {
		readers.Wait()
		close(f.out)
	}()
	return f
}

// end waits for the readers to have ended.
func (f *feed) end() {
	f.cancel()
	for range f.out {
	}
}

// send returns false if nobody listens any more.
func (f *feed) send(event Event) bool {
	event.BuildID = f.build.id
	select {
	case f.out <- event:
		return true
	case <-f.ctx.Done():
		return false
	}
}

func (f *feed) readPhases() {
	client := f.build.client
	f.last, f.err = f.build.follow(f.ctx, func(u update, before Info) bool {
		if u.trouble != nil {
			return f.send(client.note("%v: trying again", u.trouble))
		}
		for _, event := range phaseEvents(before, u.info, client.clock.Now()) {
			if !f.send(event) {
				return false
			}
		}
		return true
	})
	if f.err != nil {
		f.cancel() // a log of a build that cannot be watched has no end
	}
}

func (f *feed) readLog() {
	for line, err := range f.build.Logs(f.ctx, Follow()) {
		switch {
		case f.ctx.Err() != nil || errors.Is(err, ErrBuildNotFound):
			return // said elsewhere
		case err != nil:
			f.tail.err = err
			f.send(f.build.client.note("%v", err))
			return
		case !f.send(Event{Type: EventLog, Time: line.Time, Line: line}):
			return
		}
		f.tail.add(line)
	}
	f.logsComplete = true
}

func (f *feed) finished() Event {
	info := f.last
	info.addLog(&f.tail)
	return Event{
		Type:    EventFinished,
		Time:    f.build.client.clock.Now(),
		BuildID: f.build.id,
		Reason:  info.Reason,
		Result:  &Result{Info: info, LogsComplete: f.logsComplete},
	}
}

// follow hands on each new state of the build, with the state before it, until the build
// has ended, and returns its last state. A see that returns false ends it too.
func (b *Build) follow(ctx context.Context, see func(u update, before Info) bool) (Info, error) {
	m := b.client.watcher.watch(b.id, b.grace)
	defer m.leave()
	var last Info
	for {
		u, _, err := m.next(ctx, nil)
		if err == nil {
			err = u.err
		}
		if err != nil {
			return last, fmt.Errorf("wait for build %s: %w", b.id, err)
		}
		if !see(u, last) {
			return last, ctx.Err()
		}
		if u.trouble != nil {
			continue
		}
		if last = u.info; last.Done() {
			return last, nil
		}
	}
}
