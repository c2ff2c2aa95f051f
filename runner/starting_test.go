package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
)

// lost returns what comes of a call whose answer was lost.
func lost() error { return &smithyhttp.RequestSendError{Err: errors.New("connection reset by peer")} }

func aRequest() Request { return Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}} }

// theBuild returns a build that carries the token which StartBuild was sent,
// and that was started when the test began.
func (s *script) theBuild(_ time.Duration, id string) (types.Build, error) {
	b := aBuild(id, types.StatusTypeInProgress, "BUILD")
	b.StartTime = aws.Time(s.begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Environment = &types.ProjectEnvironment{EnvironmentVariables: env("TAG", "app", "REQUEST_ID", s.tokens[0])}
	if s.stopped {
		b.BuildStatus = types.StatusTypeStopped
	}
	return b, nil
}

func TestLostAnswerIsAskedForAgainWithTheSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(at time.Duration) (string, error) {
			if at < 2*time.Minute {
				return "", lost()
			}
			return testID, nil
		}
		b, err := s.client().Start(t.Context(), aRequest())
		if err != nil || b.ID() != testID {
			t.Fatal(err)
		}
		if len(s.tokens) < 5 || len(slices.Compact(s.tokens)) != 1 {
			t.Errorf("tokens %q", s.tokens)
		}
	})
}

// While CodeBuild keeps the token, the same call returns the build, so the
// client does not list builds.
func TestLostAnswerIsAskedForAgainWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(at time.Duration) (string, error) {
			if at < tokenUse/2 {
				return "", lost()
			}
			return testID, nil
		}
		s.list = func(at time.Duration) ([]string, error) {
			t.Errorf("after %v the builds are listed", at)
			return nil, nil
		}
		b, err := s.client().Start(t.Context(), aRequest())
		if err != nil || b.ID() != testID || len(slices.Compact(slices.Clone(s.tokens))) != 1 {
			t.Errorf("tokens %q, %v", s.tokens, err)
		}
	})
}

// After five minutes CodeBuild has forgotten the token, and a call with it
// could start a second build.
func TestBuildWhoseAnswerStaysLostIsFoundInTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		var last time.Duration
		s.start = func(at time.Duration) (string, error) { last = at; return "", lost() }
		s.list = func(at time.Duration) ([]string, error) {
			if at < tokenLife {
				return nil, nil // not listed yet
			}
			return []string{testID}, nil
		}
		s.getBuilds = s.theBuild
		b, err := s.client().Start(t.Context(), aRequest())
		if err != nil || b.ID() != testID {
			t.Fatal(err)
		}
		if last > tokenUse+callTimeout {
			t.Errorf("the token was still sent after %v", last)
		}
	})
}

func TestBuildOfAnotherRequestIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(at time.Duration) (string, error) {
			if at < tokenLife {
				return "", lost()
			}
			return "flexbuild:new", nil
		}
		s.list = func(time.Duration) ([]string, error) { return []string{testID}, nil }
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			b, err := s.theBuild(at, id)
			b.Environment.EnvironmentVariables = env("TAG", "app", "REQUEST_ID", "another")
			return b, err
		}
		if b, err := s.client().Start(t.Context(), aRequest()); err != nil || b.ID() != "flexbuild:new" {
			t.Errorf("%v, %v", b, err)
		}
	})
}

func TestStartThatCannotBeKnownSaysWhatWouldFindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(time.Duration) (string, error) { return "", lost() }
		s.list = func(time.Duration) ([]string, error) { return nil, outage() }
		_, err := s.client().Start(t.Context(), aRequest())
		if !errors.Is(err, ErrUnknownStart) || !strings.Contains(err.Error(), "REQUEST_ID="+s.tokens[0]) {
			t.Errorf("err = %v", err)
		}
		if time.Since(s.begin) > 10*time.Minute {
			t.Errorf("it took %v", time.Since(s.begin))
		}
	})
}

// If the context ends while the answer is missing, the client looks for the
// build and stops it.
func TestCancelWhileTheAnswerIsLostStopsTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(time.Duration) (string, error) { return "", lost() }
		s.list = func(time.Duration) ([]string, error) { return []string{testID}, nil }
		s.getBuilds = s.theBuild
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.client().Run(ctx, aRequest())
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrStopped) || s.stops != 1 {
			t.Errorf("%d stops, %v", s.stops, err)
		}
	})
}

func TestThrottledStartsWaitAsLongAsTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(at time.Duration) (string, error) {
			if at < 20*time.Minute {
				return "", throttled()
			}
			return testID, nil
		}
		notes := 0
		_, err := s.client(WithQueueWait(0)).Start(t.Context(), aRequest(), WithEvents(func(e Event) {
			if e.Type == EventNote {
				notes++
			}
		}))
		if err != nil || notes < 20 {
			t.Errorf("%d notes, %v", notes, err)
		}
		if n := len(s.tokens); n > 20*60+30 {
			t.Errorf("%d calls in 20 minutes of throttling", n)
		}
	})
}

func TestQuotaOfZeroIsReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(time.Duration) (string, error) {
			return "", &types.AccountLimitExceededException{Message: aws.String("Cannot have more than 0 builds in queue for the account")}
		}
		_, err := s.client().Start(t.Context(), aRequest())
		if !errors.Is(err, ErrNoQuota) || !strings.Contains(err.Error(), "Service Quotas") || time.Since(s.begin) > 0 {
			t.Errorf("after %v: %v", time.Since(s.begin), err)
		}
	})
}

// Only the first start in the line asks for room. The end of a build makes it
// ask at once.
func TestStartsWaitForRoomInOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		room := 2
		var mu sync.Mutex
		s.start = func(at time.Duration) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if room == 0 {
				return "", &types.AccountLimitExceededException{}
			}
			room--
			return fmt.Sprintf("flexbuild:%d", int(at.Seconds())), nil
		}
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			started, _ := time.ParseDuration(strings.TrimPrefix(id, "flexbuild:") + "s")
			b, err := doneAt(started+time.Minute)(at, id)
			return b, err
		}
		c := s.client(WithQueueWait(time.Hour))
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := c.Run(t.Context(), aRequest()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				room++
				mu.Unlock()
				c.starts.roomMayBe()
			})
		}
		all.Wait()
		if took := time.Since(s.begin); took > 8*time.Minute {
			t.Errorf("10 builds of a minute, two at once, took %v", took)
		}
		if n := len(s.tokens); n > 60 {
			t.Errorf("%d calls for 10 builds", n)
		}
	})
}

// Only faults of the infrastructure are tried again, and the attempts are
// reported.
func TestInfrastructureFaultsAreTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		phase  string
		status types.StatusType
		builds int
	}{
		"a fault":                  {"PROVISIONING FAULT no machine", "FAULT", 2},
		"no machine":               {"PROVISIONING FAILED timed out waiting for a machine", "FAILED", 2},
		"a network that fails":     {"DOWNLOAD_SOURCE FAILED dial tcp: i/o timeout", "FAILED", 2},
		"a log stream's throttle":  {"PROVISIONING FAILED CreateLogStream: ThrottlingException: Rate exceeded", "FAILED", 2},
		"a failed Dockerfile":      {"BUILD FAILED Error while executing command: x. Reason: exit status 1", "FAILED", 1},
		"a source that is not":     {"DOWNLOAD_SOURCE FAILED repository not found", "FAILED", 1},
		"a machine that may not":   {"PROVISIONING FAILED ACCESS_DENIED: not authorized to create log stream", "FAILED", 1},
		"a time limit of a step's": {"BUILD TIMED_OUT Build has timed out.", "TIMED_OUT", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				s.start = func(time.Duration) (string, error) { return fmt.Sprintf("flexbuild:%d", len(s.tokens)), nil }
				s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
					return aBuild(id, test.status, test.phase), nil
				}
				s.getLog = emptyLog
				result, err := s.client().Run(t.Context(), Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}, IdempotencyToken: "t"})
				var failed *BuildError
				if !errors.As(err, &failed) || len(s.tokens) != test.builds || len(result.Attempts) != test.builds-1 {
					t.Errorf("builds %q, attempts %d, %v", s.tokens, len(result.Attempts), err)
				}
				if diff := cmp.Diff(len(s.tokens), len(slices.Compact(slices.Sorted(slices.Values(s.tokens))))); diff != "" {
					t.Errorf("tokens are used twice: %q", s.tokens)
				}
			})
		})
	}
}

// When the context has ended, the client makes no further attempt.
func TestNoBuildIsStartedAgainForACallerWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(time.Duration) (string, error) { return fmt.Sprintf("flexbuild:%d", len(s.tokens)), nil }
		s.getBuilds = func(_ time.Duration, id string) (types.Build, error) {
			return aBuild(id, "FAULT", "PROVISIONING FAULT no machine"), nil
		}
		s.getLog = emptyLog
		ctx, cancel := context.WithCancel(t.Context())
		result, err := s.client().Run(ctx, aRequest(), WithEvents(func(e Event) {
			if e.Type == EventFinished {
				cancel()
			}
		}))
		if len(s.tokens) != 1 || result == nil || result.Status != Fault || !errors.Is(err, ErrFault) {
			t.Errorf("%d builds, %+v, %v", len(s.tokens), result, err)
		}
	})
}

// Info ends with its context, and names the build.
func TestInfoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(time.Duration, string) (types.Build, error) { return types.Build{}, outage() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.client().Build(testID).Info(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), testID) || time.Since(s.begin) > 2*time.Second {
			t.Errorf("after %v: %v", time.Since(s.begin), err)
		}
	})
}
