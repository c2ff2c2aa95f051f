package runner

import "time"

// Metrics receives what a client does, for counters such as expvar's or
// OpenTelemetry's. Its methods are called from several goroutines and should
// return quickly.
type Metrics interface {
	// Call is called after each attempt of a call to AWS.
	Call(Call)
	// Watched is called after each answer about the builds that are waited for.
	// builds is the number of builds by status. lag is the age of the oldest
	// known state before this answer.
	Watched(builds map[Status]int, lag time.Duration)
}

// Call is one attempt of a call to AWS.
type Call struct {
	Operation string // such as BatchGetBuilds
	Duration  time.Duration
	Err       error // nil if the call succeeded
	Throttled bool  // whether AWS throttled the call
}
