package batch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

// site is a client of an engine in memory, and what its builds did.
type site struct {
	client *runner.Client
	mu     sync.Mutex
	now    int
	most   int
	starts map[string]int
}

// inBubble runs a test whose builds take ten seconds. One of app:bad fails.
func inBubble(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{starts: map[string]int{}}
		engine := localtest.New(t, localtest.InMemory(), localtest.WithConcurrency(1000), localtest.SimulateBuilds(s.build))
		engine.Deploy(t, buildspec.StackName, localtest.WithoutBuildspec(t, flexbuild.Template))
		var err error
		if s.client, err = runner.New(t.Context(), engine.Config(), buildspec.StackName); err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
}

func (s *site) build(b *localtest.Build) error {
	tag := b.Environment["TAG"]
	s.mu.Lock()
	s.starts[tag]++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	select {
	case <-time.After(10 * time.Second):
	case <-b.Context().Done():
		return b.Context().Err()
	}
	if tag == "app:bad" {
		return localtest.ExitStatus(1)
	}
	b.ExportImage()
	return nil
}

func request(tag string) runner.Request {
	return runner.Request{Source: runner.Git{URL: "https://git.example/org/repo.git"}, Tags: []string{"app:" + tag}}
}

func numbered(n int) map[string]runner.Request {
	all := map[string]runner.Request{}
	for i := range n {
		all[fmt.Sprint(i)] = request(fmt.Sprint(i))
	}
	return all
}

func TestAllAreBuiltAtMostSoManyAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		requests := numbered(20)
		requests["bad"] = request("bad")
		got := map[string]string{}
		for key, o := range batch.RunAll(t.Context(), s.client, maps.All(requests), batch.WithParallel(8)) {
			var failed *runner.BuildError
			switch {
			case o.Err == nil:
				got[key] = o.Result.Tags[0]
			case errors.As(o.Err, &failed):
				got[key] = "failed"
			default:
				t.Errorf("%s: %v", key, o.Err)
			}
		}
		want := map[string]string{"bad": "failed"}
		for i := range 20 {
			want[fmt.Sprint(i)] = fmt.Sprintf("app:%d", i)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if s.most > 8 || s.most < 6 {
			t.Errorf("%d builds ran at once", s.most)
		}
	})
}

func TestTheSecondRequestWithAKeyIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		twice := func(yield func(string, runner.Request) bool) {
			_ = yield("a", request("1")) && yield("a", request("2"))
		}
		refused, built := 0, 0
		for _, o := range batch.RunAll(t.Context(), s.client, twice) {
			if errors.Is(o.Err, runner.ErrInvalidRequest) {
				refused++
			} else if o.Err == nil {
				built++
			}
		}
		if refused != 1 || built != 1 {
			t.Errorf("%d refused, %d built", refused, built)
		}
	})
}

// Whoever leaves, or cancels, leaves nothing running.
func TestLeavingStopsWhatWasStarted(t *testing.T) {
	for name, leave := range map[string]func(cancel func()) (stay bool){
		"by leaving the loop": func(func()) bool { return false },
		"by cancelling":       func(cancel func()) bool { cancel(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				requests := func(yield func(string, runner.Request) bool) {
					for i := 0; ; i++ { // without an end
						if !yield(fmt.Sprint(i), request(fmt.Sprint(i))) {
							return
						}
					}
				}
				for range batch.RunAll(ctx, s.client, requests, batch.WithParallel(10)) {
					if !leave(cancel) {
						break
					}
				}
				for info, err := range s.client.List(t.Context()) {
					if err != nil || !info.Done() {
						t.Errorf("%s is %s, %v", info.BuildID, info.Status, err)
					}
				}
			})
		})
	}
}

func TestARunThatWasInterruptedGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		requests := numbered(3)
		requests["bad"] = request("bad")
		first := map[string]runner.Request{"0": requests["0"], "bad": requests["bad"]}
		for range batch.RunAll(t.Context(), s.client, maps.All(first), batch.WithRunID("nightly")) {
		}
		running := requests["1"]
		running.Metadata = map[string]string{batch.MetadataRun: "nightly", batch.MetadataKey: "1"}
		if _, err := s.client.Start(t.Context(), running); err != nil {
			t.Fatal(err)
		}
		reused := map[string]bool{}
		for key, o := range batch.RunAll(t.Context(), s.client, maps.All(requests), batch.WithRunID("nightly")) {
			if (o.Err == nil) != (key != "bad") {
				t.Errorf("%s: %v", key, o.Err)
			}
			reused[key] = o.Reused
		}
		if diff := cmp.Diff(map[string]bool{"0": true, "1": false, "2": false, "bad": false}, reused); diff != "" {
			t.Errorf("reused (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{"app:0": 1, "app:1": 1, "app:2": 1, "app:bad": 2}, s.starts); diff != "" {
			t.Errorf("builds (-want +got):\n%s", diff)
		}
	})
}

func TestTwoRunsOfOneBatchAtOnceShareTheirBuilds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				for key, o := range batch.RunAll(t.Context(), s.client, maps.All(numbered(5)), batch.WithRunID("one")) {
					if o.Err != nil {
						t.Errorf("%s: %v", key, o.Err)
					}
				}
			})
		}
		both.Wait()
		for tag, n := range s.starts {
			if n != 1 {
				t.Errorf("%s was started %d times", tag, n)
			}
		}
	})
}

// A run marks its builds, not the caller's requests.
func TestRequestsAreLeftAsTheyAre(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		one := request("one")
		one.Metadata = map[string]string{"team": "a"}
		requests := map[string]runner.Request{"one": one}
		for _, outcome := range batch.RunAll(t.Context(), s.client, maps.All(requests), batch.WithRunID("nightly")) {
			if outcome.Err != nil {
				t.Error(outcome.Err)
			}
		}
		if diff := cmp.Diff(map[string]string{"team": "a"}, one.Metadata); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
