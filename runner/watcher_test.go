package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
)

// waitForAll waits for so many builds at once, until all have ended.
func waitForAll(t *testing.T, c *Client, builds int) {
	var waiting sync.WaitGroup
	for i := range builds {
		waiting.Go(func() {
			if _, err := c.Build(fmt.Sprintf("flexbuild:%d", i)).Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
}

func TestBuildsAreWatchedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const builds = 250
		s := newScript()
		s.getBuilds = doneAt(20 * time.Second)
		c := s.client()
		waitForAll(t, c, builds)
		if took := time.Since(s.begin); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		// At two calls a second, and three calls a round.
		if len(s.batches) > 2*30+3 {
			t.Errorf("%d calls", len(s.batches))
		}
		for _, batch := range s.batches {
			if len(batch) > 100 {
				t.Errorf("a call for %d builds", len(batch))
			}
		}
		if len(c.watcher.watches) != 0 {
			t.Errorf("%d watches are left", len(c.watcher.watches))
		}
	})
}

// Asking about 3,000 builds takes 30 calls. One after the other, with answers
// that take a second, they would take half a minute.
func TestSlowAnswersDoNotSlowPollingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const builds = 3000
		s := newScript()
		s.getBuilds = doneAt(30 * time.Second)
		s.takes = func(time.Duration) time.Duration { return time.Second }
		c := s.client()
		waitForAll(t, c, builds)
		if took := time.Since(s.begin) - 30*time.Second; took > maxInterval+3*time.Second {
			t.Errorf("known %v after the end", took)
		}
		for i := range s.calls {
			if last := i + maxInFlight; last < len(s.calls) && s.calls[last]-s.calls[i] < time.Second {
				t.Errorf("more than %d calls are on their way together at %v", maxInFlight, s.calls[last])
			}
		}
	})
}

// What was asked before a watch began may be older than what its caller did
// last.
func TestAWatchDoesNotTakeAnAnswerFromBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(2 * time.Second)
		s.takes = func(at time.Duration) time.Duration {
			if at < time.Second {
				return 3500 * time.Millisecond // the answer comes after the second question
			}
			return time.Second
		}
		c := s.client()
		var waiting sync.WaitGroup
		waiting.Go(func() { c.Build(testID).Wait(t.Context()) })
		time.Sleep(3 * time.Second)
		info, err := c.Build(testID).Info(t.Context())
		if err != nil || info.Status != Succeeded {
			t.Errorf("%v, %v: the answer is older than the question", info.Status, err)
		}
		waiting.Wait()
		if took := time.Since(s.begin); took > 4100*time.Millisecond {
			t.Errorf("the first one waited %v", took)
		}
	})
}

func TestAnOlderAnswerThatComesLateIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if at < 2*time.Second {
				return types.Build{}, errNotFound
			}
			return aBuild(id, types.StatusTypeInProgress, "SUBMITTED SUCCEEDED", "BUILD"), nil
		}
		s.takes = func(at time.Duration) time.Duration {
			if at < time.Second {
				return 5 * time.Second
			}
			return 0
		}
		c := s.client()
		first := c.watcher.watch(testID, graceNone, time.Time{})
		defer first.leave()
		time.Sleep(3 * time.Second)
		second := c.watcher.watch(testID, graceNone, time.Time{})
		defer second.leave()
		for range 10 {
			time.Sleep(time.Second)
			for _, m := range []*watch{first, second} {
				if u, _, _ := m.next(t.Context(), time.After(2*time.Second)); u.err != nil {
					t.Fatal(u.err)
				}
			}
		}
	})
}

func TestABuildIsAskedAboutAgainAfterItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(time.Minute)
		s.takes = func(time.Duration) time.Duration { return 100 * time.Millisecond }
		if _, err := s.client().Build(testID).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most := time.Minute / minInterval; len(s.calls) < int(most)-10 {
			t.Errorf("%d calls in a minute, want almost %d", len(s.calls), most)
		}
	})
}

// One server may know of the end before another does.
func TestABuildThatHasEndedStaysSo(t *testing.T) {
	m := &watch{updates: make(chan update, 1), status: Succeeded}
	if u := m.evaluate(time.Now(), Info{Status: InProgress}, true, nil); u != nil {
		t.Errorf("it runs again: %+v", u)
	}
	if m.status != Succeeded {
		t.Errorf("status %v", m.status)
	}
}

func TestNewWatchIsPolledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if id == "flexbuild:old" {
				return doneAt(20*time.Minute)(at, id)
			}
			return succeeded(id), nil
		}
		c := s.client()
		var old sync.WaitGroup
		old.Go(func() { c.Build("flexbuild:old").Wait(t.Context()) })
		time.Sleep(10*time.Minute + 1700*time.Millisecond)
		before := time.Now()
		if _, err := c.Build("flexbuild:new").Info(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 600*time.Millisecond {
			t.Errorf("took %v", took)
		}
		old.Wait()
	})
}

func TestIntervalFollowsNumberAndAge(t *testing.T) {
	for _, test := range []struct {
		builds    int
		age, want time.Duration
	}{
		{1, 0, minInterval}, {100, 0, minInterval}, {1, 10 * time.Minute, minInterval}, {1, 20 * time.Minute, 2500 * time.Millisecond}, {1, 10 * time.Hour, maxInterval},
		{300, 0, 3 * time.Second}, {10_000, 0, maxInterval},
	} {
		if got := interval(test.builds, test.age); got != test.want {
			t.Errorf("interval(%d, %v) = %v, want %v", test.builds, test.age, got, test.want)
		}
	}
}

// Whoever polls for all may leave at any moment; the others go on.
func TestAWatchGoesOnWhenTheOneThatPollsLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = doneAt(10 * time.Second)
		c := s.client()
		var waiting sync.WaitGroup
		for i := range 20 {
			patience := time.Duration(i) * 700 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			waiting.Go(func() {
				defer cancel()
				_, err := c.Build("flexbuild:one").Wait(ctx)
				seen := err == nil
				if seen && patience < 10*time.Second || !seen && patience > 11500*time.Millisecond {
					t.Errorf("with a patience of %v: %v", patience, err)
				}
			})
		}
		waiting.Wait()
		if took := time.Since(s.begin); took > 12*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestNotFoundIsNotYetThenAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.start = func(time.Duration) (string, error) { return testID, nil }
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if at < 10*time.Second {
				return types.Build{}, errNotFound
			}
			return succeeded(id), nil
		}
		c := s.client()
		b, err := c.Start(t.Context(), Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}})
		if err != nil {
			t.Fatal(err)
		}
		if result, err := b.Wait(t.Context()); err != nil || result.Digest != testDigest {
			t.Errorf("a build that we started: %v", err)
		}
		s.getBuilds = func(time.Duration, string) (types.Build, error) { return types.Build{}, errNotFound }
		for name, call := range map[string]func() error{
			"Info of a foreign build": func() error { _, err := c.Build("nope").Info(t.Context()); return err },
			"Wait of a foreign build": func() error { _, err := c.Build("nope").Wait(t.Context()); return err },
			"Wait of our own":         func() error { _, err := b.Wait(t.Context()); return err },
			"Logs": func() error {
				for _, err := range c.Build("nope").Logs(t.Context()) {
					return err
				}
				return nil
			},
			"Events": func() error {
				var last error
				for _, last = range c.Build("nope").Events(t.Context(), LogFollow) {
				}
				return last
			},
		} {
			if err := call(); !errors.Is(err, ErrBuildNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestThrottlingSlowsPollingDownAndItRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
			if at < time.Minute {
				return types.Build{}, throttled()
			}
			return doneAt(20*time.Minute)(at, id)
		}
		if _, err := s.client().Build(testID).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		var early, late int
		for _, at := range s.calls {
			switch {
			case at < time.Minute:
				early++
			case at > 19*time.Minute:
				late++
			}
		}
		if early > 32 {
			t.Errorf("%d calls in the minute of throttling", early)
		}
		if late < 10 {
			t.Errorf("%d calls in the last minute: it did not recover", late)
		}
	})
}

func TestOutageIsSaidAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, length := range []time.Duration{20 * time.Second, 2 * silencePatience} {
			s := newScript()
			s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
				if at > 3*time.Second && at < length {
					return types.Build{}, outage()
				}
				return doneAt(25*time.Second)(at, id)
			}
			s.getLog = emptyLog
			var notes int
			var last error
			for event, err := range s.client().Build(testID).Events(t.Context(), LogFollow) {
				if last = err; event.Type == EventNote && event.Note != "" {
					notes++
				}
			}
			if bounded := length > time.Minute; bounded != (last != nil) {
				t.Errorf("outage of %v: %v", length, last)
			}
			if notes == 0 {
				t.Errorf("outage of %v: not a word", length)
			}
		}
	})
}

func TestDeniedEndsTheWatchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(time.Duration, string) (types.Build, error) { return types.Build{}, denied() }
		_, err := s.client().Build(testID).Wait(t.Context())
		if !errors.Is(err, ErrAccessDenied) || time.Since(s.begin) > 0 {
			t.Errorf("after %v: %v", time.Since(s.begin), err)
		}
	})
}

func TestPacerSlowsDownWhenThrottledAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(rates{min: 0.5, start: 4, max: 10})
		if p.rate != 4 {
			t.Errorf("it begins with a rate of %v", p.rate)
		}
		for range 40 {
			p.adapt(nil)
		}
		if p.rate != 10 {
			t.Errorf("rate %v after much success", p.rate)
		}
		began := time.Now()
		for range 10 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 900*time.Millisecond {
			t.Errorf("10 calls at the full rate took %v", took)
		}
		for range 10 {
			p.adapt(throttled())
		}
		if p.rate != 5 {
			t.Errorf("rate %v after answers to calls that were on their way together", p.rate)
		}
		for range 10 {
			time.Sleep(time.Minute)
			p.adapt(throttled())
		}
		if p.rate != 0.5 {
			t.Errorf("rate %v after much throttling", p.rate)
		}
	})
}

// One throttled call slows down those that were waiting already, too.
func TestThrottlingSlowsDownThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(rates{min: 0.1, start: 5, max: 5})
		began := time.Now()
		var mu sync.Mutex
		var gone []time.Duration
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if p.wait(t.Context()) == nil {
					mu.Lock()
					defer mu.Unlock()
					gone = append(gone, time.Since(began))
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		p.adapt(throttled())
		waiting.Wait()
		slices.Sort(gone)
		if gone[2] != 400*time.Millisecond || gone[3] != 900*time.Millisecond {
			t.Errorf("the first calls went at %v", gone[:5])
		}
		for i := 4; i < len(gone); i++ {
			if gap := gone[i] - gone[i-1]; gap < 399*time.Millisecond {
				t.Errorf("call %d followed after %v", i, gap)
			}
		}
	})
}

// CodeBuild refuses a whole call for one id.
func TestBadIDDoesNotEndTheOtherWatches(t *testing.T) {
	for _, code := range []string{"InvalidInputException", "AccessDeniedException"} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			s.getBuilds = func(at time.Duration, id string) (types.Build, error) {
				if id == "elsewhere:1" {
					return types.Build{}, &smithy.GenericAPIError{Code: code, Fault: smithy.FaultClient}
				}
				return doneAt(10*time.Second)(at, id)
			}
			c := s.client()
			bad := c.watcher.watch("elsewhere:1", graceNone, time.Time{})
			defer bad.leave()
			if _, err := c.Build("flexbuild:1").Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if u, _, err := bad.next(t.Context(), nil); err != nil || !hasCode(u.err, code) {
				t.Errorf("the update of the bad id: %+v, %v", u, err)
			}
		})
	}
}
