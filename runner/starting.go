package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

const (
	// tokenLife is how long a call is repeated with its idempotency token.
	// CodeBuild keeps the token for 5 minutes (StartBuild, API reference).
	tokenLife    = 5 * time.Minute
	tokenUse     = tokenLife - 30*time.Second
	startBackoff = 10 * time.Second
	minAttempts  = 5 // however long they take, because the calls of many starts are far apart
)

// starting is the start of one build.
type starting struct {
	client *Client
	input  *codebuild.StartBuildInput
	id     string // the request's id, which the build carries
	emit   func(Event)

	sent    time.Time // when the token was first sent
	unknown error     // the last failure after which a build may be running
	failing time.Time // since when all calls fail
	fails   int       // how many of them
	notices notice
}

// run repeats StartBuild until a build was started or cannot be started.
func (s *starting) run(ctx context.Context) (string, error) {
	place := s.client.starts.enter(s.client.queueWait)
	defer place.leave()
	wait := newBackoff(startBackoff)
	for {
		if ctx.Err() != nil || s.isTooLate() {
			if id, err := s.reconcile(ctx); id != "" || err != nil {
				return id, err
			}
		}
		err := place.await(ctx, s.waiting)
		if errors.Is(err, ErrQueueFull) {
			return s.settle(ctx, err)
		}
		if err != nil {
			continue // the context has ended
		}
		if s.client.starts.pace.wait(ctx) != nil || s.isTooLate() {
			continue // the token may have expired during the wait
		}
		id, err := s.attempt(ctx)
		switch {
		case err == nil:
			return id, nil
		case isFull(err) && !isQuotaZero(err):
			place.full(err)
			if s.client.queueWait > 0 {
				s.waiting(err)
			}
		case !s.mayRepeat(err):
			return s.settle(ctx, err)
		default:
			s.waiting(err)
			if !isThrottle(err) { // the pacer waits after throttling
				_ = sleep(ctx, wait.next()) // the loop looks at the context
			}
		}
	}
}

// isTooLate reports whether the token may have expired, so that it no longer
// identifies the build.
func (s *starting) isTooLate() bool { return s.unknown != nil && time.Since(s.sent) > tokenUse }

// attempt makes one call. It waits for the answer even if the context ends,
// because otherwise a build could run that nobody knows of.
func (s *starting) attempt(ctx context.Context) (id string, err error) {
	if s.unknown == nil {
		s.sent = time.Now()
	}
	err = s.client.calls.once(context.WithoutCancel(ctx), "StartBuild", func(ctx context.Context) error {
		out, err := s.client.builds.StartBuild(ctx, s.input)
		if err == nil {
			id, err = startedID(out)
		}
		return err
	})
	s.client.starts.pace.adapt(err)
	if mayHaveActed(err) {
		s.unknown = err
	}
	return id, err
}

// mayHaveActed reports whether the service may have acted on a call that
// failed.
func mayHaveActed(err error) bool {
	return isTransient(err) && !isThrottle(err) && !wasNotSent(err) && !hasExpired(err)
}

func startedID(out *codebuild.StartBuildOutput) (string, error) {
	if out.Build == nil || aws.ToString(out.Build.Id) == "" {
		return "", fmt.Errorf("%w: the answer of StartBuild names no build", ErrUnreachable)
	}
	return *out.Build.Id, nil
}

// mayRepeat reports whether the same call may succeed later. Throttled calls
// are repeated as long as the caller waits; other failures are repeated for a
// limited time.
func (s *starting) mayRepeat(err error) bool {
	switch {
	case isCancel(err):
		return true // the loop looks at the context
	case isThrottle(err):
		s.failing, s.fails = time.Time{}, 0 // throttling is an answer
		return true
	case !isTransient(err):
		return false
	}
	if s.fails++; s.fails == 1 {
		s.failing = time.Now()
	}
	return s.fails < minAttempts || time.Since(s.failing) < patienceToStart(err) || s.unknown != nil && time.Since(s.sent) <= tokenUse
}

func patienceToStart(err error) time.Duration {
	if wasNotSent(err) {
		return dialPatience
	}
	return tokenUse
}

// settle ends a start that was refused. An earlier attempt whose answer was
// lost may have started the build nevertheless.
func (s *starting) settle(ctx context.Context, refusal error) (string, error) {
	if s.unknown == nil {
		return "", refusal
	}
	id, err := s.reconcile(ctx)
	if id == "" && err == nil {
		err = refusal
	}
	return id, err
}

// reconcile looks for a build that may have been started although the answer
// was lost. If there is none, reconcile returns the context's error, or nil if
// a new attempt may be made.
func (s *starting) reconcile(ctx context.Context) (string, error) {
	if s.unknown == nil {
		s.sent = time.Time{}
		return "", ctx.Err()
	}
	s.emit(note("the answer of StartBuild was lost (%v): looking for the build", s.unknown))
	id, err := s.find(context.WithoutCancel(ctx))
	if err != nil {
		return "", fmt.Errorf("%w: no answer of StartBuild came (%w), and the project's builds could not be listed (%w): a build of this request has %s=%s among its variables (\"flexbuild list --json\" shows it as requestId)",
			ErrUnknownStart, s.unknown, err, buildspec.VarRequestID, s.id)
	}
	if id == "" {
		s.unknown, s.sent, s.failing, s.fails = nil, time.Time{}, time.Time{}, 0
		return "", ctx.Err()
	}
	return id, nil
}

const (
	// findPatience is how long a build that was started may be missing from the
	// project's list of builds.
	findPatience = 30 * time.Second
	findInterval = 4 * time.Second

	outagePatience = 2 * time.Minute
)

// find returns the id of the request's build, or "" if there is none.
func (s *starting) find(ctx context.Context) (string, error) {
	began, wait := time.Now(), newBackoff(findInterval)
	for {
		id, err := s.findOnce(ctx)
		took := time.Since(began)
		switch {
		case id != "":
			return id, nil
		case err != nil && (!isTransient(err) || took >= outagePatience):
			return "", err
		case err == nil && took >= findPatience:
			return "", nil
		}
		if err := sleep(ctx, wait.next()); err != nil {
			return "", err
		}
	}
}

// findOnce searches the project's builds, back to the earliest time at which a
// build with this token can have been started. It compares only times of the
// service. Of this machine's clock it uses only how long ago the token was
// sent.
func (s *starting) findOnce(ctx context.Context) (string, error) {
	for info, err := range s.client.List(ctx) {
		if err != nil {
			return "", err
		}
		if info.asOf.Sub(info.Started) > time.Since(s.sent)+tokenLife {
			return "", nil
		}
		if info.RequestID == s.id {
			return info.BuildID, nil
		}
	}
	return "", nil
}

// waiting emits a note from time to time that says why there is no build yet.
func (s *starting) waiting(err error) {
	text := fmt.Sprintf("the build is not started yet: trying again: %v", s.client.explainStart(err))
	switch {
	case isFull(err), errors.Is(err, ErrQueueFull):
		text = "the build queue is full: waiting for room"
		s.notices.now()
	case isThrottle(err):
		text = "the build is not started yet: AWS wants fewer calls of StartBuild: trying again"
	}
	if s.notices.isDue() {
		s.emit(note("%s", text))
	}
}

func isFull(err error) bool {
	var full *types.AccountLimitExceededException
	return errors.As(err, &full)
}

// quotaZero matches CodeBuild's answer to an account that may run no build at
// all. New accounts begin with that quota.
var quotaZero = lazyregexp.New(`(?i)cannot have more than 0 (active )?builds`)

func isQuotaZero(err error) bool { return isFull(err) && quotaZero().MatchString(err.Error()) }

func (c *Client) explainStart(err error) error {
	switch {
	case errors.Is(err, ErrQueueFull), errors.Is(err, ErrUnknownStart):
		return err
	case isQuotaZero(err):
		return fmt.Errorf("%w: the account's quota of concurrently running builds is 0 for this kind of machine: ask for more in Service Quotas (AWS CodeBuild, \"Concurrently running builds for Linux/…\"), or use another size: %w", ErrNoQuota, err)
	case isFull(err):
		return fmt.Errorf("%w: the account or the project runs and queues as many builds as it may: %w", ErrQueueFull, err)
	case strings.Contains(err.Error(), "mismatch for idempotency token"):
		return fmt.Errorf("%w: the idempotency token was used for another request within the last 5 minutes: use a new one, or none: %w", ErrInvalidRequest, err)
	case hasCode(err, "InvalidInputException"):
		return fmt.Errorf("%w: CodeBuild refused it: %w", ErrInvalidRequest, err)
	case hasCode(err, "ResourceNotFoundException"):
		return fmt.Errorf("%w: its project %q is gone: deploy the stack again: %w", ErrIncompatibleStack, c.stack.ProjectName, err)
	}
	return explain("start a build of project "+c.stack.ProjectName, err)
}

// notice spaces the notes about a wait: the first one after a few seconds,
// later ones less often.
type notice struct{ since, last time.Time }

const (
	noticeAfter = 3 * time.Second
	noticeEvery = 30 * time.Second
)

// now makes the first note due at once.
func (n *notice) now() {
	if n.since.IsZero() {
		n.since = time.Now().Add(-noticeAfter)
	}
}

func (n *notice) isDue() bool {
	now := time.Now()
	if n.since.IsZero() {
		n.since = now
	}
	due := n.last.IsZero() && now.Sub(n.since) >= noticeAfter || !n.last.IsZero() && now.Sub(n.last) >= noticeEvery
	if due {
		n.last = now
	}
	return due
}
