package runner

import "time"

// Metrics is told what a client does, for counters of the caller's own such as
// expvar's or OpenTelemetry's. Its methods are called from several goroutines
// and should return quickly.
type Metrics interface {
	// Call is called after each attempt of a call to AWS.
	Call(Call)
	// Watched is called after each answer about the builds that are waited for:
	// how many there are in each state, and how old the oldest of what is known
	// about them was before this answer.
	Watched(builds map[Status]int, lag time.Duration)
}

// Call is one attempt of a call to AWS.
type Call struct {
	Operation string // such as BatchGetBuilds
	Duration  time.Duration
	Err       error // nil if it worked
	Throttled bool  // Err says that AWS wants fewer calls
}
