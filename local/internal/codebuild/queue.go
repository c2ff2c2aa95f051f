package codebuild

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"
)

// queuePerRunning is how many builds may wait for each that may run. Source:
// "Working with builds" of AWS's guide.
const queuePerRunning = 5

// timedOut is the status of a build whose phase is TIMED_OUT. AWS has a status
// of that name, but builds that exceeded their time limit were seen as FAILED
// with a TIMED_OUT phase, so readers must consider both.
const timedOut = types.StatusTypeFailed

// These are the contexts of interrupted phases.
var (
	buildTimedOut = types.PhaseContext{StatusCode: aws.String("BUILD_TIMED_OUT"), Message: aws.String("Build has timed out. ")}
	engineEnded   = types.PhaseContext{
		StatusCode: aws.String("INTERNAL_SERVICE_ERROR"),
		Message:    aws.String("The local engine ended before the build did. Start the build again."),
	}
)

// outcomes are the outcomes of an interrupted build: its phase's status and
// context, and its own status.
var outcomes = map[error]struct {
	phase, build types.StatusType
	contexts     []types.PhaseContext
}{
	errStopped:  {phase: types.StatusTypeStopped, build: types.StatusTypeStopped},
	errTimedOut: {phase: types.StatusTypeTimedOut, build: timedOut, contexts: []types.PhaseContext{buildTimedOut}},
	errClosed:   {phase: types.StatusTypeFault, build: types.StatusTypeFault, contexts: []types.PhaseContext{engineEnded}},
}

// A job is a queued or running build.
type job struct {
	project string
	record  *Record
	ctx     context.Context
	cancel  context.CancelCauseFunc
	expiry  clockwork.Timer // ends the wait in the queue; nil once the build runs
	done    chan struct{}   // closed when the build is complete
}

// makeRoom returns an error for a build for which the queue has no place. The
// caller holds s.mu.
func (s *Service) makeRoom(project types.Project) error {
	if limit := project.ConcurrentBuildLimit; limit != nil {
		active := 0
		for _, j := range s.active {
			if j.project == *project.Name {
				active++
			}
		}
		if active >= int(*limit) {
			return limitExceeded("Cannot have more than %d active builds for the project", *limit)
		}
	}
	if capacity := queuePerRunning * s.Concurrency; s.running >= s.Concurrency && len(s.waiting) >= capacity {
		return limitExceeded("Cannot have more than %d builds in queue for the account", capacity)
	}
	return nil
}

// enqueue starts a build, or puts it into the queue. The caller holds s.mu.
func (s *Service) enqueue(project string, record *Record) {
	build := record.Build()
	ctx, cancel := context.WithCancelCause(context.Background())
	j := &job{project: project, record: record, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	s.active[*build.Id] = j
	if s.running < s.Concurrency {
		s.start(j)
		return
	}
	s.waiting = append(s.waiting, j)
	j.expiry = s.Clock.AfterFunc(minutes(build.QueuedTimeoutInMinutes), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dequeue(j, errTimedOut)
	})
}

// dequeue ends a build that is still in the queue, and reports whether it was.
// The caller holds s.mu.
func (s *Service) dequeue(j *job, cause error) bool {
	place := slices.Index(s.waiting, j)
	if place < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, place, place+1)
	j.expiry.Stop()
	j.cancel(cause)
	delete(s.active, *j.record.Build().Id)
	s.settle(j.record, s.conclude(j, types.StatusTypeFailed))
	j.release()
	return true
}

// start runs a build in a goroutine of its own, for which Close waits. The
// caller holds s.mu.
func (s *Service) start(j *job) {
	if j.expiry != nil {
		j.expiry.Stop()
	}
	s.running++
	j.record.End(types.StatusTypeSucceeded)
	s.jobs.Go(func() { s.run(j) })
}

func (s *Service) run(j *job) {
	build := j.record.Build()
	limit := s.Clock.AfterFunc(minutes(build.TimeoutInMinutes), func() { j.cancel(errTimedOut) })
	status := s.Executor.Execute(j.ctx, build, j.record)
	limit.Stop()

	s.mu.Lock()
	defer s.mu.Unlock()
	status = s.conclude(j, status)
	delete(s.active, *build.Id)
	s.running--
	if len(s.waiting) > 0 && !s.closed {
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.start(next)
	}
	if status == types.StatusTypeFailed {
		s.autoRetry(j.record)
	}
	s.settle(j.record, status)
	j.release()
}

// conclude returns the status of a build that has ended. If a phase is open, it
// was interrupted. Otherwise the executor's status is that of the build.
func (s *Service) conclude(j *job, status types.StatusType) types.StatusType {
	outcome, interrupted := outcomes[context.Cause(j.ctx)]
	switch {
	case interrupted && j.record.interrupt(outcome.phase, outcome.contexts...):
		status = outcome.build
	case j.record.interrupt(types.StatusTypeFault): // the executor forgot a phase
		status = types.StatusTypeFault
	}
	return status
}

// settle records the end of a build. If the end cannot be stored, the build is
// remembered, so that nobody waits for it for ever. The caller holds s.mu.
func (s *Service) settle(r *Record, status types.StatusType) {
	r.complete(status)
	if !r.keep() {
		s.unsaved[*r.Build().Id] = r
	}
}

// release lets those go on who wait for the end of the build.
func (j *job) release() {
	j.cancel(nil) // releases the context
	close(j.done)
}

func minutes(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Minute }
