package runner

import (
	"context"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// rates bounds a pacer, in calls a second.
type rates struct{ min, max float64 }

// AWS does not publish how many BatchGetBuilds calls it takes; one call covers
// 100 builds, so two a second watch thousands.
var pollRate = rates{min: 0.1, max: 2}

// GetLogEvents takes 10 calls a second in many regions, 25 in others, for the
// whole account (CloudWatch Logs service quotas): leave room for others.
var logRate = rates{min: 0.2, max: 5}

// pacer spaces calls of one kind: its rate is halved by a throttled call and
// grows back by a step with each one that succeeds (AIMD, as in TCP).
type pacer struct {
	clock clockwork.Clock
	rates rates

	mu   sync.Mutex
	rate float64
	next time.Time // when the next call may go
}

func newPacer(clock clockwork.Clock, r rates) *pacer {
	return &pacer{clock: clock, rates: r, rate: r.max}
}

// wait takes the next slot and waits for it.
func (p *pacer) wait(ctx context.Context) error {
	return sleep(ctx, p.clock, p.reserve())
}

func (p *pacer) reserve() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.gap())
	return at.Sub(now)
}

func (p *pacer) gap() time.Duration { return time.Duration(float64(time.Second) / p.rate) }

// learn adapts the rate to what a call was answered.
func (p *pacer) learn(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.rate = min(p.rates.max, p.rate+p.rates.max/20)
	case isThrottle(err):
		p.rate = max(p.rates.min, p.rate/2)
		p.next = p.clock.Now().Add(p.gap())
	}
}

// sleep waits for d or the context's end.
func sleep(ctx context.Context, clock clockwork.Clock, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
