package fleetbench

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// statusCounter counts what the client does in real time.
type statusCounter struct{ asked, throttled atomic.Int64 }

func (c *statusCounter) Call(call runner.Call) {
	if call.Operation == askBuilds {
		c.asked.Add(1)
	}
	if call.Throttled {
		c.throttled.Add(1)
	}
}

func (c *statusCounter) Watched(map[runner.Status]int, time.Duration) {}

// The whole way in real time: builds are started, watched and ended over
// loopback, by the engine that `flexbuild local` runs, with simulated builds of
// six seconds to a minute.
func TestManyBuildsOverLoopback(t *testing.T) {
	builds, shortest, longest := 20, 100*time.Millisecond, time.Second
	if *all {
		builds, shortest, longest = 1000, 6*time.Second, time.Minute
	}
	engine := localtest.New(t, localtest.WithConcurrency(builds), localtest.SimulateBuilds(func(b *localtest.Build) error {
		b.ExportImage()
		return sleep(b.Context(), shortest+rand.N(longest-shortest))
	}))
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	var counted statusCounter
	c, err := runner.New(t.Context(), engine.Config(), buildspec.StackName, runner.WithMetrics(&counted))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	known := make(delays, builds)
	var running sync.WaitGroup
	for i := range known {
		running.Go(func() {
			result, err := c.Run(t.Context(), runner.Request{
				Source: runner.Git{URL: "https://git.example/org/repo.git"}, Tags: []string{fmt.Sprintf("app:%d", i)},
			})
			if err != nil {
				t.Errorf("build %d: %v", i, err)
				return
			}
			known[i] = time.Since(result.Ended)
		})
	}
	running.Wait()
	fmt.Printf("| %s builds over loopback in %s | %s calls of %s, %d throttled | p50 %s, p95 %s, max %s |\n\n", number(builds), seconds(time.Since(began)),
		number(int(counted.asked.Load())), askBuilds, counted.throttled.Load(), seconds(known.at(0.5)), seconds(known.p95()), seconds(known.at(1)))
	if asked := int(counted.asked.Load()); asked > 10*builds {
		t.Errorf("%d calls of %s for %d builds", asked, askBuilds, builds)
	}
}
