package rate

import (
	"testing"
	"time"
)

func TestCallsASecondAreLimitedByName(t *testing.T) {
	var limiter Limiter
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	allowed := func(name string, perSecond float64, after time.Duration, calls int) (n int) {
		for range calls {
			if limiter.Allow(name, perSecond, start.Add(after)) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		name      string
		perSecond float64
		after     time.Duration
		calls     int
		want      int
	}{
		{"a", 10, 0, 12, 10}, // those of a second may come together
		{"a", 10, 50 * time.Millisecond, 1, 0},
		{"a", 10, 100 * time.Millisecond, 2, 1},
		{"b", 10, 100 * time.Millisecond, 12, 10}, // another name is counted for itself
		{"a", 10, 5 * time.Second, 12, 10},        // what was not called is not kept for later
		{"slow", 0.5, 0, 2, 1},
		{"slow", 0.5, time.Second, 1, 0},
		{"slow", 0.5, 2 * time.Second, 2, 1},
		{"free", 0, 0, 1000, 1000},
	} {
		if got := allowed(step.name, step.perSecond, step.after, step.calls); got != step.want {
			t.Errorf("%s, %v a second: after %v %d of %d calls are allowed, want %d", step.name, step.perSecond, step.after, got, step.calls, step.want)
		}
	}
}
