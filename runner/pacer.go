package runner

import (
	"context"
	"sync"
	"time"
)

// rates are the bounds of a pacer, in calls a second.
type rates struct{ min, start, max float64 }

// AWS publishes no quotas for StartBuild and BatchGetBuilds.
var (
	// One call covers 100 builds, so a thousand need two calls a second.
	pollRates = rates{min: 0.5, start: 2, max: 10}
	// Each build creates a log stream, and CreateLogStream takes 50 calls a
	// second for the whole account (CloudWatch Logs service quotas). Builds
	// above that fail in PROVISIONING. Half of the quota is left to others.
	startRates = rates{min: 1, start: 10, max: 25}
)

// defaultLogRate is how many calls a second read logs at most. The quotas of a
// whole account are 10 calls a second of GetLogEvents in many regions and 25 in
// others, and 5 to 25 of FilterLogEvents (CloudWatch Logs service quotas).
const defaultLogRate = 5

func logRates(most float64) rates { return rates{min: most / 10, start: most, max: most} }

// pacer spaces calls of one kind. A throttled call halves the rate, and each
// successful call raises it by a step (AIMD, as in TCP). Waiting callers are
// released one by one, at the rate of the moment in which their turn comes. So
// throttling also slows those who were already waiting.
type pacer struct {
	rates rates
	turn  chan struct{} // holds a token while somebody waits for the next slot

	mu   sync.Mutex
	rate float64
	next time.Time // when the next call may be made; never moves back
	cut  time.Time // when the rate was last halved
}

func newPacer(r rates) *pacer { return &pacer{rates: r, turn: make(chan struct{}, 1), rate: r.start} }

// wait waits for the next slot and takes it.
func (p *pacer) wait(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	for pause := p.pause(); pause > 0; pause = p.pause() { // it may have grown meanwhile
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	p.take()
	return ctx.Err()
}

func (p *pacer) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.next)
}

func (p *pacer) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay(p.gap())
}

func (p *pacer) gap() time.Duration { return time.Duration(float64(time.Second) / p.rate) }

func (p *pacer) delay(d time.Duration) {
	if at := time.Now().Add(d); at.After(p.next) {
		p.next = at
	}
}

// adapt changes the rate after a call. Answers to calls that overlapped count
// as one, so the rate is halved at most once in the time between two calls.
func (p *pacer) adapt(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.rate = min(p.rates.max, p.rate+p.rates.max/40)
	case isThrottle(err) && time.Since(p.cut) >= p.gap():
		p.rate, p.cut = max(p.rates.min, p.rate/2), time.Now()
		p.delay(p.gap())
	}
}
