package runner

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

func testDir(t *testing.T) Dir {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Dir(dir)
}

func (s *script) starts(id string) *script {
	s.start = func(time.Duration) (string, error) { return id, nil }
	return s
}

func TestRunReturnsTheImageAndWritesTheLog(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.getBuilds = doneAt(10 * time.Second)
		s.getLog = pages(logAt{0, []string{"[Container] x\n", markBegin, "#1 one\n"}}, logAt{9 * time.Second, []string{markEnd}})
		var log bytes.Buffer
		var seen []EventType
		result, err := s.client().Run(t.Context(), Request{Source: source, Tags: []string{"app:1"}}, WithLogs(&log), WithEvents(func(e Event) {
			if len(seen) == 0 || seen[len(seen)-1] != e.Type {
				seen = append(seen, e.Type)
			}
		}))
		if err != nil || result.ImageURI != "registry.example/app@"+testDigest || !result.LogsComplete {
			t.Fatalf("%+v, %v", result, err)
		}
		if log.String() != "#1 one\n" {
			t.Errorf("log %q", log.String())
		}
		if seen[0] != EventUploaded || seen[1] != EventStarted || seen[len(seen)-1] != EventLogEnd {
			t.Errorf("events %v", seen)
		}
		for key := range s.objects {
			if !uploadForm.MatchString(key) {
				t.Errorf("the upload's key is %s", key)
			}
		}
	})
}

func TestFailureCarriesTheLastLines(t *testing.T) {
	for _, opts := range [][]RunOption{nil, {WithEvents(func(Event) {})}, {WithLogMode(LogFollow)}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript().starts(testID)
			s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
				return aBuild(id, "FAILED", "BUILD FAILED Error while executing command: x. Reason: exit status 66", "POST_BUILD SUCCEEDED"), nil
			}
			messages := []string{markBegin}
			for range 30 {
				messages = append(messages, "#1 step\n")
			}
			s.getLog = pages(logAt{0, append(messages, "#1 ERROR\n", "[flexbuild "+testID+"] error GIT_REF: there is no \"x\"\n", markEnd)})
			result, err := s.client().Run(t.Context(), Request{Source: gitSource("github.com/a/b#x"), Tags: []string{"app"}}, opts...)
			var failed *BuildError
			if !errors.As(err, &failed) || !errors.Is(err, ErrBuildFailed) || result == nil {
				t.Fatalf("%+v, %v", result, err)
			}
			if n := len(failed.LastLines); n != failureTail || failed.LastLines[n-1] != "#1 ERROR" || failed.Reason != `GIT_REF: there is no "x"` || failed.LogErr != nil {
				t.Errorf("%+v", failed)
			}
		})
	}
}

// The reason is then the service's, and the error says that there may be more.
func TestFailureWhoseLogCannotBeRead(t *testing.T) {
	for _, opts := range [][]RunOption{nil, {WithEvents(func(Event) {})}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript().starts(testID)
			s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
				return aBuild(id, "FAILED", "BUILD FAILED Error while executing command: x. Reason: exit status 71", "POST_BUILD SUCCEEDED"), nil
			}
			s.getLog = func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) { return nil, denied() }
			_, err := s.client().Run(t.Context(), Request{Source: gitSource("github.com/a/b#x"), Tags: []string{"app"}}, opts...)
			var failed *BuildError
			if !errors.As(err, &failed) || failed.Reason != "a command of the build's script failed: the log says which" || !errors.Is(failed.LogErr, ErrAccessDenied) {
				t.Errorf("%+v", failed)
			}
		})
	}
}

// A build that was ended from outside has the service's reason, whatever its
// log said before.
func TestTimedOutBuildKeepsItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			return aBuild(id, "TIMED_OUT", "BUILD TIMED_OUT Build has timed out."), nil
		}
		s.getLog = pages(logAt{0, []string{markBegin, "[flexbuild " + testID + "] error gave up\n"}})
		_, err := s.client().Run(t.Context(), Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
		var failed *BuildError
		if !errors.As(err, &failed) || failed.Reason != "Build has timed out." {
			t.Errorf("%+v", failed)
		}
	})
}

func TestCancelStopsTheBuildAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		var stoppedAt time.Duration
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if s.isStopped() && at > stoppedAt+3*time.Second {
				return aBuild(id, "STOPPED", "BUILD STOPPED"), nil
			}
			return doneAt(time.Hour)(at, id)
		}
		s.stop = func(at time.Duration) error {
			if at < 10*time.Second {
				return outage()
			}
			stoppedAt = at
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		result, err := s.client().Run(ctx, Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), testID) {
			t.Errorf("err = %v", err)
		}
		if result == nil || result.Status != Stopped || s.stops < 2 {
			t.Errorf("result %+v after %d stops", result, s.stops)
		}
	})
}

func TestCancelThatCannotStopSaysSoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.getBuilds = doneAt(time.Hour)
		s.stop = func(time.Duration) error { return outage() }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.client().Run(ctx, Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "may go on") || time.Since(s.begin) > stopPatience+10*time.Second {
			t.Errorf("after %v: %v", time.Since(s.begin), err)
		}
	})
}

func TestCancelLeavesTheBuildIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.getBuilds = doneAt(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.client().Run(ctx, Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}}, WithLeaveOnCancel())
		if !errors.Is(err, context.Canceled) || s.stops != 0 || !strings.Contains(err.Error(), testID) {
			t.Errorf("%d stops, %v", s.stops, err)
		}
	})
}

func TestCancelThatComesTooLateNamesTheImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.getBuilds = doneAt(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.client().Run(ctx, Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "pushed registry.example/app@"+testDigest) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestDirectoryThatCannotBePackedIsTheCallersMistake(t *testing.T) {
	source := testDir(t)
	name := filepath.Join(string(source), "large")
	if err := os.WriteFile(name, make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	c := newScript().client()
	prepared, err := source.prepare("")
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.close()
	tree, err := prepared.upload.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.packAndPut(t.Context(), tree, func(Event) {}); !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), `"large" changed while it was packed`) {
		t.Errorf("err = %v", err)
	}
}

// A build must be stopped if the context ended while it was being started.
func TestBuildStartedWhileTheContextEndsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithCancel(t.Context())
		s.start = func(time.Duration) (string, error) { cancel(); return testID, nil }
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if s.isStopped() {
				return aBuild(id, "STOPPED", "BUILD STOPPED"), nil
			}
			return doneAt(time.Hour)(at, id)
		}
		if _, err := s.client().Run(ctx, Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}}); !errors.Is(err, context.Canceled) || s.stops != 1 {
			t.Errorf("%d stops, %v", s.stops, err)
		}
	})
}

func TestFullQueue(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(at time.Duration) (string, error) {
			if at < 45*time.Second {
				return "", &types.AccountLimitExceededException{}
			}
			return testID, nil
		}
		request := Request{Source: source, Tags: []string{"app"}}
		for _, patience := range []time.Duration{0, 20 * time.Second} {
			before := time.Now()
			var notes int
			_, err := s.client(WithQueueWait(patience)).Start(t.Context(), request, WithEvents(func(e Event) {
				if e.Type == EventNote && strings.Contains(e.Note, "queue is full") {
					notes++
				}
			}))
			var cause *types.AccountLimitExceededException
			if !errors.Is(err, ErrQueueFull) || !errors.As(err, &cause) || time.Since(before) != patience || (notes > 0) != (patience > 0) {
				t.Errorf("patience %v: after %v and %d notes: %v", patience, time.Since(before), notes, err)
			}
		}
		if _, err := s.client(WithQueueWait(time.Minute)).Start(t.Context(), request); err != nil {
			t.Errorf("with patience: %v", err)
		}
	})
}

func TestStartErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, test := range map[string]struct {
			message string
			want    error
		}{
			"InvalidInputException":       {"Request parameter mismatch for idempotency token x", ErrInvalidRequest},
			"ResourceNotFoundException":   {"Project cannot be found", ErrIncompatibleStack},
			"AccessDeniedException":       {"not authorized", ErrAccessDenied},
			"UnrecognizedClientException": {"The security token is invalid", ErrCredentials},
		} {
			s := newScript()
			s.start = func(time.Duration) (string, error) {
				return "", &smithy.GenericAPIError{Code: code, Message: test.message, Fault: smithy.FaultClient}
			}
			_, err := s.client().Start(t.Context(), Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
			var api smithy.APIError
			if !errors.Is(err, test.want) || !errors.As(err, &api) || api.ErrorCode() != code {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}

// Start emits the bytes of an upload, and of its repetition, from the caller's
// goroutine.
func TestLongUploadReportsItsProgress(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		s.put = func(_ context.Context, body io.ReadSeeker) error {
			for _, bytes := range []int64{100, 50} {
				if _, err := body.Seek(0, io.SeekStart); err != nil {
					return err
				}
				if _, err := io.CopyN(io.Discard, body, bytes); err != nil {
					return err
				}
				time.Sleep(7 * time.Second)
			}
			return nil
		}
		var got []Event
		_, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}, WithEvents(func(e Event) { got = append(got, e) }))
		if err != nil {
			t.Fatal(err)
		}
		at := func(d time.Duration) time.Time { return s.begin.Add(d) }
		size := got[len(got)-2].Bytes
		want := []Event{
			{Type: EventUploading, Time: at(5 * time.Second), Bytes: 100, Total: size},
			{Type: EventUploading, Time: at(10 * time.Second), Bytes: 50, Total: size},
			{Type: EventUploaded, Time: at(14 * time.Second), Bytes: size, Files: 1},
			{Type: EventStarted, Time: at(14 * time.Second), BuildID: testID},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// uploadForm is what keys of uploads look like.
var uploadForm = regexp.MustCompile(`^sources/[0-9a-f]{64}/[0-9]{8}\.zip$`)

func TestUnchangedDirectoryIsUploadedOnce(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		c := s.client()
		var got []int64
		for range 3 {
			_, err := c.Start(t.Context(), Request{Source: source, Tags: []string{"app"}}, WithEvents(func(e Event) {
				if e.Type == EventUploaded {
					got = append(got, e.Bytes)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(s.objects) != 1 || got[0] == 0 || got[1] != 0 || got[2] != 0 {
			t.Errorf("%d uploads, of %v bytes", len(s.objects), got)
		}
	})
}

// The service's clock counts, whatever this machine's says: here it is days
// ahead.
func TestUploadThatExpiresBeforeAQueueMayEndIsNotUsed(t *testing.T) {
	source := testDir(t)
	for _, test := range []struct {
		days             string
		queueWait, lasts time.Duration
	}{{"", 0, 15 * time.Hour}, {"1", 0, 15 * time.Hour}, {"3", 0, 63 * time.Hour}, {"3", 20 * time.Hour, 43 * time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript().starts(testID)
			s.skew = 100*time.Hour + 12*time.Hour // to noon: the clock of a bubble begins at midnight
			c := s.client()
			c.queueWait = test.queueWait
			outputs, err := buildspec.ParseOutputs(map[string]string{buildspec.OutputSourceExpiryInDays: test.days})
			if err != nil {
				t.Fatal(err)
			}
			c.stack.SourceExpiryInDays = outputs.SourceExpiryInDays
			for _, step := range []struct {
				wait    time.Duration
				uploads int
			}{{0, 1}, {test.lasts - time.Minute, 1}, {2 * time.Minute, 2}} {
				time.Sleep(step.wait)
				if _, err := c.Start(t.Context(), Request{Source: source, Tags: []string{"app"}}); err != nil {
					t.Fatal(err)
				}
				if len(s.objects) != step.uploads {
					t.Errorf("expiry in %q days: %d uploads after %v, want %d", test.days, len(s.objects), time.Since(s.begin), step.uploads)
				}
			}
		})
	}
}

// Somebody else's upload of the same content may be under way.
func TestUploadThatMeetsAnotherIsTriedAgain(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript().starts(testID)
		conflicts := 0
		s.put = func(context.Context, io.ReadSeeker) error {
			if conflicts++; conflicts <= 2 {
				return &smithy.GenericAPIError{Code: "ConditionalRequestConflict"}
			}
			return nil
		}
		if _, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}); err != nil || conflicts != 3 {
			t.Errorf("%d attempts: %v", conflicts, err)
		}
		s.put = func(context.Context, io.ReadSeeker) error {
			return &smithy.GenericAPIError{Code: "ConditionalRequestConflict"}
		}
		s.objects = map[string]time.Time{}
		if _, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}); !hasCode(err, "ConditionalRequestConflict") {
			t.Errorf("without an end: %v", err)
		}
	})
}
