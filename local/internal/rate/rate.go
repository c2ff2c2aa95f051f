// Package rate limits calls a second.
//
//	var limiter rate.Limiter
//	if !limiter.Allow("logs:GetLogEvents", 10, clock.Now()) {
//		return throttled
//	}
package rate

import (
	"sync"
	"time"
)

// A Limiter limits calls by their names. The calls of a second may come
// together. The zero value is ready, and a Limiter is safe for concurrent use.
type Limiter struct {
	mu   sync.Mutex
	next map[string]time.Time // by name: when the next call fits
}

// Allow reports whether a call at that time is within so many a second, and
// counts it if it is. 0 is no limit.
func (l *Limiter) Allow(name string, perSecond float64, now time.Time) bool {
	if perSecond == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = map[string]time.Time{}
	}
	gap := time.Duration(float64(time.Second) / perSecond)
	next := l.next[name]
	if next.Before(now) {
		next = now
	}
	if next.Sub(now) > time.Second-gap {
		return false
	}
	l.next[name] = next.Add(gap)
	return true
}
