package runner

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// lets returns how many calls the pacer lets go within d, each answered with
// err. The call that waits until d is over is not counted.
func (p *pacer) lets(t *testing.T, d time.Duration, err error) (calls int) {
	t.Helper()
	for end := time.Now().Add(d); ; calls++ {
		if p.wait(t.Context()) != nil || !time.Now().Before(end) {
			return calls
		}
		p.adapt(err)
	}
}

func TestPacerKeepsWithinItsRates(t *testing.T) {
	for name, test := range map[string]struct {
		rates      rates
		start      int // calls in the first second
		most       int // calls a second after a minute of success
		fewest     int // calls in 100 seconds after a minute of throttling
		afterwards int // calls in the next 20 seconds of success
	}{
		"BatchGetBuilds": {pollRates, 3, 9, 49, 88},
		"StartBuild":     {startRates, 14, 24, 99, 372},
		"logs":           {logRates(defaultLogRate), 5, 4, 49, 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPacer(test.rates)
				got := []int{p.lets(t, time.Second, nil)}
				p.lets(t, time.Minute, nil)
				got = append(got, p.lets(t, 10*time.Second, nil)/10)
				p.lets(t, time.Minute, throttled())
				got = append(got, p.lets(t, 100*time.Second, throttled()), p.lets(t, 20*time.Second, nil))
				if want := []int{test.start, test.most, test.fewest, test.afterwards}; !slices.Equal(got, want) {
					t.Errorf("calls %d, want %d", got, want)
				}
			})
		})
	}
}

// Calls that were on their way together halve the rate once.
func TestPacerHalvesItsRateOnceAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(rates{min: 1, start: 16, max: 16})
		for range 5 {
			p.adapt(throttled())
		}
		if p.rate != 8 {
			t.Errorf("%v calls a second, want 8", p.rate)
		}
		time.Sleep(p.gap())
		p.adapt(throttled())
		if p.rate != 4 {
			t.Errorf("%v calls a second, want 4", p.rate)
		}
	})
}
