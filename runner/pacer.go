package runner

import (
	"context"
	"sync"
	"time"
)

// rates bound a pacer, in calls a second.
type rates struct{ min, start, max float64 }

// AWS publishes no quota of StartBuild and BatchGetBuilds.
var (
	// One call covers 100 builds, so a thousand need two calls a second.
	pollRates = rates{min: 0.5, start: 2, max: 10}
	// Each build makes a log stream, and CreateLogStream takes 50 calls a second
	// for the whole account (CloudWatch Logs service quotas): builds above that
	// fail in PROVISIONING. Leave half to others.
	startRates = rates{min: 1, start: 10, max: 25}
)

// defaultLogRate is the most calls a second that read logs. GetLogEvents takes 10
// calls a second in many regions and 25 in others, FilterLogEvents 5 to 25, for
// the whole account (CloudWatch Logs service quotas).
const defaultLogRate = 5

func logRates(most float64) rates { return rates{min: most / 10, start: most, max: most} }

// pacer spaces calls of one kind. Its rate is halved by a throttled call and
// grows by a step with each one that succeeds (AIMD, as in TCP). Those who wait
// are let go one by one, at the rate of the moment when their turn comes: what
// throttling has slowed down stays slow for those who were already waiting.
type pacer struct {
	rates rates
	turn  chan struct{} // holds a token while somebody waits for the next slot

	mu   sync.Mutex
	rate float64
	next time.Time // when the next call may go; never moves back
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

// adapt changes the rate by what a call was answered. Answers to calls that were
// on their way together count as one: the rate is halved at most once a gap.
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
