// Package rate limits calls a second, by their names.
//
//	var limiter rate.Limiter
//	if !limiter.Allow("logs:GetLogEvents", 10, clock.Now()) {
//		return throttled
//	}
package rate

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter limits calls by their names. The calls of a second may come
// together. The zero value is ready, and a Limiter is safe for concurrent use.
type Limiter struct {
	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

// Allow reports whether a call at that time is within so many a second, and
// counts it if it is. A name has the limit of its first call. 0 is no limit.
func (l *Limiter) Allow(name string, perSecond float64, now time.Time) bool {
	if perSecond == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName[name] == nil {
		if l.byName == nil {
			l.byName = map[string]*rate.Limiter{}
		}
		l.byName[name] = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
	}
	return l.byName[name].AllowN(now, 1)
}
