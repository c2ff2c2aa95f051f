package runner

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// startQueue paces a client's starts. While CodeBuild's own queue is full, the
// starts wait in one line. Only the first one asks CodeBuild, at growing
// intervals and whenever one of the client's builds ends.
type startQueue struct {
	pace    *pacer
	waiting atomic.Int64  // places in the line
	head    chan struct{} // holds a token while a start has the first place
	room    chan struct{} // signals to the first place that there may be room
}

func newStartQueue() *startQueue {
	return &startQueue{pace: newPacer(startRates), head: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// roomMayBe is called when a build has ended.
func (q *startQueue) roomMayBe() {
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// A build has to end before there is room in a full queue, which takes minutes
// rather than seconds.
const (
	roomAskMin = 2 * time.Second
	roomAskMax = 30 * time.Second
)

// place is the place of one start. It is in the line once there is one.
type place struct {
	queue    *startQueue
	patience time.Duration
	since    time.Time // when the waiting began
	inLine   bool
	first    bool
	refusal  error // the last one
	pause    time.Duration
	due      time.Time // when to ask again
}

func (q *startQueue) enter(patience time.Duration) *place {
	return &place{queue: q, patience: patience}
}

func (p *place) leave() {
	if p.inLine {
		p.queue.waiting.Add(-1)
	}
	if p.first {
		<-p.queue.head
	}
}

// full records that CodeBuild has no room.
func (p *place) full(err error) {
	p.refusal = err
	p.join()
	p.pause = min(max(2*p.pause, roomAskMin), roomAskMax)
	p.due = time.Now().Add(p.pause)
}

func (p *place) join() {
	if !p.inLine {
		p.inLine, p.since = true, time.Now()
		p.queue.waiting.Add(1)
	}
}

// await returns when the start may be tried: at once if nobody waits for room.
// It returns [ErrQueueFull] when the patience ends.
func (p *place) await(ctx context.Context, waiting func(error)) error {
	if p.refusal == nil && p.patience > 0 && p.queue.waiting.Load() > 0 {
		p.join() // behind the starts that already wait
	}
	if !p.inLine {
		return ctx.Err()
	}
	end := time.NewTimer(p.patience - time.Since(p.since))
	defer end.Stop()
	tick := time.NewTicker(noticeAfter)
	defer tick.Stop()
	for {
		select {
		case p.toHead() <- struct{}{}:
			p.first = true
		case <-p.ask():
			return nil
		case <-p.roomForFirst():
			return nil
		case <-tick.C:
			waiting(p.reason())
		case <-end.C:
			return p.noRoom()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// toHead returns the channel by which a place becomes the first one, or nil if
// it is the first one.
func (p *place) toHead() chan<- struct{} {
	if p.first {
		return nil
	}
	return p.queue.head
}

// ask returns a channel that signals when the first place asks again: at once
// if it has not been refused yet.
func (p *place) ask() <-chan time.Time {
	if !p.first {
		return nil
	}
	return time.After(time.Until(p.due))
}

func (p *place) roomForFirst() <-chan struct{} {
	if !p.first {
		return nil
	}
	return p.queue.room
}

func (p *place) reason() error {
	if p.refusal != nil {
		return p.refusal
	}
	return fmt.Errorf("%w: others of this client wait for room too", ErrQueueFull)
}

func (p *place) noRoom() error {
	return fmt.Errorf("%w: the account or the project runs and queues as many builds as it may, and had no room within %v: wait for builds to end, ask for a higher quota of concurrent builds, or be more patient (WithQueueWait, or the command's --queue-wait): %w",
		ErrQueueFull, p.patience, p.reason())
}
