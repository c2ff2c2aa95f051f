package fleetbench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// who is a kind of watcher.
type who struct {
	name string
	make func(ctx context.Context, cfg aws.Config, logs bool) (watcher, error)
	most int // builds; more are measured by a sample
}

// A poller for each of 10,000 builds would make millions of calls.
var (
	runnerClient = who{"flexbuild", newRunnerClient, 10000}
	poller5      = who{"poller, 5 s", pollersEvery(5 * time.Second), 1000}
	poller30     = who{"poller, 30 s", pollersEvery(30 * time.Second), 1000}
)

// figures are what was measured of a watcher.
type figures struct {
	scenario
	who       string
	share     int            // 10 if a tenth of the builds was measured, with a tenth of the quotas
	calls     map[string]int // by operation
	throttled map[string]int
	known     delays // from the end of a build until the caller knew
	read      delays // until the caller had the whole log
	lost      int    // lines
	repeated  int
	failed    int // builds whose wait failed
	memory    float64
	floor     time.Duration // of known.p95: the quota allows no better
}

func (f figures) String() string {
	logs := "states only"
	if f.logs {
		logs = "logs followed"
	}
	if f.far {
		logs += ", far away"
	}
	return fmt.Sprintf("%s, %d builds, %s", f.who, f.builds, logs)
}

type delays []time.Duration

// at returns the delay that such a share of the builds does not exceed.
func (d delays) at(share float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(share*float64(len(d)-1))]
}

func (d delays) p95() time.Duration { return d.at(0.95) }

// Builds that are followed write a line every two seconds. Where no log is
// read, that would only take the engine's time.
const (
	followedLines = 2 * time.Second
	otherLines    = 30 * time.Second
)

// Watching begins when all builds are in their BUILD phase. Memory is measured
// before the first one ends.
const (
	beginAfter   = 10 * time.Second
	measureAfter = 30 * time.Second
)

// The benchmark watches a small fleet several times, so that it has at least so
// many delays.
const fewestDelays = 20

// measure watches a fleet in virtual time. Of several rounds it gives the mean
// calls.
func measure(t *testing.T, w who, s scenario) figures {
	t.Helper()
	f := figures{scenario: s, who: w.name, share: max(1, s.builds/w.most), calls: map[string]int{}, throttled: map[string]int{}}
	rounds := 1
	if *all {
		rounds = max(rounds, fewestDelays/s.builds)
	}
	t.Run(f.String(), func(t *testing.T) {
		for round := range rounds {
			synctest.Test(t, func(t *testing.T) { f.measure(t, w, uint64(round)) })
		}
	})
	for operation := range f.calls {
		f.calls[operation] = f.calls[operation] * f.share / rounds
		f.throttled[operation] = f.throttled[operation] * f.share / rounds
	}
	return f
}

func (f *figures) measure(t *testing.T, w who, seed uint64) {
	lineEvery := otherLines
	if f.logs {
		lineEvery = followedLines
	}
	fleet := newFleet(f.builds/f.share, lineEvery, seed)
	a := newAccount(t, fleet, f.share, f.far)
	ids, err := fleet.start(t.Context(), a.direct)
	if err != nil {
		t.Fatal(err)
	}
	client, err := w.make(t.Context(), a.config, f.logs)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(beginAfter)
	before := memory()
	sights := make([]sight, len(ids))
	var watching sync.WaitGroup
	for i, id := range ids {
		watching.Go(func() { sights[i] = client.watch(t.Context(), id) })
	}
	time.Sleep(measureAfter)
	f.memory = float64(memory()-before) / float64(len(ids))
	watching.Wait()
	for operation, made := range a.calls.made {
		f.calls[operation] += made
		f.throttled[operation] += a.calls.throttled[operation]
	}
	f.add(t, fleet, sights)
}

// memory returns the bytes in use, of the heap and of stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what the first one has only made ready to be freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// add compares what was seen with what the builds did.
func (f *figures) add(t *testing.T, fleet *fleet, sights []sight) {
	var ends []time.Time
	for i, s := range sights {
		lost, repeated, err := fleet.plans[i].check(s, f.logs)
		if err != nil {
			f.failed++
			t.Logf("build %d: %v", i, err)
			continue
		}
		f.lost, f.repeated = f.lost+lost, f.repeated+repeated
		f.known, ends = append(f.known, s.known.Sub(s.ended)), append(ends, s.ended)
		if !s.read.IsZero() {
			f.read = append(f.read, s.read.Sub(s.ended))
		}
	}
	f.floor = floor(ends)
}

// floor returns the p95 of an ideal watcher. It makes every call that the quota
// allows, its calls take no time, and each of them asks about the 100 builds
// that were not asked about for the longest time.
func floor(ends []time.Time) time.Duration {
	const perCall, gap = 100, time.Second / statusQuota
	line := slices.Clone(ends)
	var found delays
	for now := beginning(ends); len(line) > 0; now = now.Add(gap) {
		asked := line[:min(perCall, len(line))]
		line = line[len(asked):]
		for _, end := range asked {
			if end.After(now) {
				line = append(line, end)
			} else {
				found = append(found, now.Sub(end))
			}
		}
	}
	return found.p95()
}

func beginning(ends []time.Time) (first time.Time) {
	for _, end := range ends {
		if first.IsZero() || end.Before(first) {
			first = end
		}
	}
	return first
}
