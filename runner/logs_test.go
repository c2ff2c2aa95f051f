package runner

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const (
	markBegin = "[flexbuild " + testID + "] begin\n"
	markEnd   = "[flexbuild " + testID + "] end\n"
)

func emptyLog(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) {
	return pageOf("t"), nil
}

// pages returns a log of which page i is there from its time on. Tokens are
// page numbers.
func pages(all ...logAt) func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) {
	return func(at time.Duration, token string) (*cloudwatchlogs.GetLogEventsOutput, error) {
		i := len(token) - 1 // "" is before the first page, t, tt, ttt… after each
		if i < 0 {
			return pageOf("t"), nil // an empty page is not the end
		}
		if i < len(all) && at >= all[i].at {
			return pageOf(token+"t", all[i].messages...), nil
		}
		return pageOf(token), nil
	}
}

type logAt struct {
	at       time.Duration
	messages []string
}

func readLog(t *testing.T, b *Build, opts ...LogOption) (texts []string, last error) {
	for line, err := range b.Logs(t.Context(), opts...) {
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(line.Kind)+": "+line.Text)
	}
	return texts, nil
}

func TestLogIsFollowedToTheSentinel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(10 * time.Second)
		s.getLog = pages(
			logAt{0, []string{"[Container] 2026/01/02 03:04:05.000000 Running\n", markBegin, "#1 one\n#2 two\n", "#3 thr"}},
			logAt{5 * time.Second, []string{"ee\r\n", "[flexbuild " + testID + "] note careful\n"}},
			logAt{9 * time.Second, nil}, // an empty page in the middle
			logAt{14 * time.Second, []string{"#4 late\n", markEnd, "[Container] tail\n"}},
		)
		got, err := readLog(t, s.client().Build(testID), Follow())
		want := []string{
			"agent: [Container] 2026/01/02 03:04:05.000000 Running", "agent: [flexbuild " + testID + "] begin",
			"output: #1 one", "output: #2 two", "output: #3 three", "note: careful", "output: #4 late",
			"end: [flexbuild " + testID + "] end", "agent: [Container] tail",
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("err %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestLogWithoutFollowEndsWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(time.Hour)
		s.getLog = pages(logAt{0, []string{"one\n"}}, logAt{0, []string{"two\n", "unfini"}}, logAt{time.Minute, []string{"shed\n"}})
		got, err := readLog(t, s.client().Build(testID))
		if diff := cmp.Diff([]string{"agent: one", "agent: two"}, got); diff != "" || err != nil {
			t.Errorf("err %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestLogThatMayBeIncompleteSaysSo(t *testing.T) {
	gone := func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) {
		return nil, &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "The specified log stream does not exist."}
	}
	stopped := func(at time.Duration, id string) (types.Build, error) {
		b := aBuild(id, types.StatusTypeStopped, "BUILD STOPPED")
		b.EndTime = aws.Time(time.Now().Add(-at))
		return b, nil
	}
	for name, test := range map[string]struct {
		build  func(time.Duration, string) (types.Build, error)
		log    func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error)
		within time.Duration
	}{
		"the last line is lost":            {doneAt(0), pages(logAt{0, []string{markBegin, "one\n"}}), 25 * time.Second},
		"the build never came to write it": {stopped, pages(logAt{0, []string{markBegin, "one\n"}}), 5 * time.Second},
		"the stream is gone":               {doneAt(0), gone, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				s.getBuilds, s.getLog = test.build, test.log
				_, err := readLog(t, s.client().Build(testID))
				if !errors.Is(err, ErrLogsIncomplete) || time.Since(s.begin) > test.within {
					t.Errorf("after %v: %v", time.Since(s.begin), err)
				}
			})
		})
	}
}

func TestBuildWithoutAMachineHasNoLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(_ time.Duration, id string) (types.Build, error) {
			b := aBuild(id, types.StatusTypeStopped, "QUEUED STOPPED")
			b.Logs = nil
			return b, nil
		}
		if got, err := readLog(t, s.client().Build(testID)); err != nil || got != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// There is only the agent's part, and no last line of the build's to wait for.
func TestLogOfABuildThatFailedBeforeItsBuildPhaseIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(_ time.Duration, id string) (types.Build, error) {
			b := aBuild(id, types.StatusTypeFailed, "SUBMITTED SUCCEEDED", "DOWNLOAD_SOURCE FAILED no such repository", "FINALIZING SUCCEEDED", "COMPLETED")
			b.EndTime = aws.Time(s.begin)
			return b, nil
		}
		s.getLog = pages(logAt{0, []string{"[Container] one\n"}}, logAt{time.Second, []string{"[Container] a little late\n"}})
		got, err := readLog(t, s.client().Build(testID))
		if diff := cmp.Diff([]string{"agent: [Container] one", "agent: [Container] a little late"}, got); diff != "" || err != nil {
			t.Errorf("err %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestLogThrottlingBacksOffAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(0)
		calls := 0
		log := pages(logAt{0, []string{markBegin, "one\n"}}, logAt{0, []string{"two\n", markEnd}})
		s.getLog = func(at time.Duration, token string) (*cloudwatchlogs.GetLogEventsOutput, error) {
			if calls++; calls%2 == 0 {
				return nil, throttled()
			}
			return log(at, token)
		}
		got, err := readLog(t, s.client().Build(testID))
		if err != nil || len(got) != 4 {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestStatusDoesNotDependOnTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(10 * time.Second)
		s.getLog = func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) { return nil, denied() }
		var result *Result
		var notes []string
		for event, err := range s.client().Build(testID).Events(t.Context(), LogFollow) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Type == EventNote || event.Type == EventLogEnd {
				notes = append(notes, event.Note)
			}
			if event.Type == EventFinished {
				result = event.Result
			}
		}
		if result == nil || result.Err() != nil || result.LogsComplete || len(notes) != 2 || !strings.Contains(notes[0], notes[1]) || notes[1] == "" {
			t.Errorf("result %+v, notes %q", result, notes)
		}
	})
}

func TestLeavingTheLogEarlyLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(time.Hour)
		s.getLog = pages(logAt{0, []string{"one\n", "two\n"}})
		c := s.client()
		for range c.Build(testID).Events(t.Context(), LogFollow) {
			break
		}
		for range c.Build(testID).Logs(t.Context(), Follow()) {
			break
		}
		if len(c.watcher.watches) != 0 {
			t.Errorf("%d watches are left", len(c.watcher.watches))
		}
	})
}

// FuzzCursor: however a log is cut into events, its lines are the same.
func FuzzCursor(f *testing.F) {
	f.Add("one\ntwo\n"+markBegin+"three\n", uint8(3))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		whole, cut := newCursor(testID), newCursor(testID)
		want := whole.add([]logEvent{{0, text}})
		var got []Line
		for rest := text; rest != ""; {
			n := min(len(rest), int(size)+1)
			got, rest = append(got, cut.add([]logEvent{{0, rest[:n]}})...), rest[n:]
		}
		want, got = append(want, whole.rest()...), append(got, cut.rest()...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-whole +cut):\n%s", diff)
		}
	})
}

// A log that has been read to its end makes room for another one among those
// that are read by token: the script has no FilterLogEvents.
func TestALogThatHasEndedMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		var end time.Duration
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) { return doneAt(end)(at, id) }
		s.getLog = emptyLog
		s.filter = func(time.Duration, *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
			t.Error("a single log is read with FilterLogEvents")
			return nil, denied()
		}
		c := s.client()
		for range 3 * defaultLogRate {
			end = time.Since(s.begin) + 10*time.Second
			for _, err := range c.Build(testID).Events(t.Context(), LogFollow) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestThrottlingSlowsTheReadingOfALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getLog = func(time.Duration, string) (*cloudwatchlogs.GetLogEventsOutput, error) { return nil, throttled() }
		c := s.client()
		before := c.logs.pace.rate
		if _, err := c.logs.get(t.Context(), Info{}, nil, true); !isThrottle(err) || c.logs.pace.rate >= before {
			t.Errorf("error %v, %v calls a second after %v", err, c.logs.pace.rate, before)
		}
	})
}

// While calls are throttled, nobody says that the place of the log is not
// known.
func TestPlaceOfALogIsWaitedForWhileTheServiceAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			b, _ := doneAt(0)(at, id)
			b.EndTime = aws.Time(s.begin)
			switch {
			case at > 5*time.Second && at < time.Minute:
				return types.Build{}, throttled()
			case at < 66*time.Second:
				b.Logs = nil
			}
			return b, nil
		}
		s.getLog = pages(logAt{0, []string{markBegin, "one\n", markEnd}})
		if got, err := readLog(t, s.client().Build(testID)); err != nil || len(got) != 3 {
			t.Errorf("after %v: %q, %v", time.Since(s.begin), got, err)
		}
	})
}
