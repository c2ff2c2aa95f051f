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

// who watches.
type who struct {
	name string
	make func(ctx context.Context, cfg aws.Config, logs bool) (watcher, error)
}

var (
	flexbuildClient = who{"flexbuild", newOurs}
	poller5         = pollerEvery(5 * time.Second)
	poller30        = pollerEvery(30 * time.Second)
)

func pollerEvery(every time.Duration) who {
	return who{fmt.Sprintf("poller, %v", every), func(_ context.Context, cfg aws.Config, logs bool) (watcher, error) {
		return newPoller(cfg, every, logs), nil
	}}
}

// figures are what was measured of a watcher.
type figures struct {
	who       string
	builds    int
	logs      bool
	calls     map[string]int // by operation
	throttled int
	known     spread // from the end of a build until the caller knew
	read      spread // until the caller had the whole log
	lost      int    // lines
	repeated  int
	refused   int     // builds of which at least one question failed
	failed    int     // builds whose wait failed
	memory    float64 // bytes a watched build
	floor     time.Duration
	took      time.Duration // of real time
}

// spread is a distribution.
type spread struct{ p50, p95, max time.Duration }

func spreadOf(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[min(len(all)-1, int(share*float64(len(all))))] }
	return spread{at(0.50), at(0.95), all[len(all)-1]}
}

// measure watches n builds in virtual time.
func measure(t *testing.T, w who, n int, logs bool) (result figures) {
	t.Helper()
	began := time.Now()
	t.Run(fmt.Sprintf("%s/%d builds/logs %v", w.name, n, logs), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { result = measureInBubble(t, w, n, logs) })
	})
	result.took = time.Since(began)
	return result
}

// Builds that are followed write a line every second. Where no log is read, that
// would only take the engine's time.
const (
	followedLines = time.Second
	otherLines    = 30 * time.Second
)

func measureInBubble(t *testing.T, w who, n int, logs bool) figures {
	f := newFleet(n, otherLines)
	if logs {
		f = newFleet(n, followedLines)
	}
	a := newAccount(t, f)
	client, err := w.make(t.Context(), a.config, logs)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := f.start(t.Context(), a.direct)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second) // all of them are in their BUILD phase
	result := figures{who: w.name, builds: n, logs: logs}
	sights := make([]sight, n)
	before := memory()
	var watching sync.WaitGroup
	for i, id := range ids {
		watching.Go(func() { sights[i] = client.watch(t.Context(), id) })
	}
	time.Sleep(shortest - 20*time.Second) // before the first one ends
	result.memory = float64(memory()-before) / float64(n)
	watching.Wait()
	result.calls, result.throttled = a.calls.made, total(a.calls.throttled)
	result.add(t, f, sights)
	return result
}

// memory returns the bytes in use, of the heap and of stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what the first one has only made ready to be freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func (r *figures) add(t *testing.T, f *fleet, sights []sight) {
	var known, read []time.Duration
	var ends []time.Time
	for i, s := range sights {
		lost, repeated, err := f.plans[i].check(s, r.logs)
		r.lost += lost
		r.repeated += repeated
		if err != nil {
			r.failed++
			t.Logf("build %d: %v", i, err)
			continue
		}
		if s.refused > 0 {
			r.refused++
		}
		known, ends = append(known, s.known.Sub(s.ended)), append(ends, s.ended)
		if !s.read.IsZero() {
			read = append(read, s.read.Sub(s.ended))
		}
	}
	r.known, r.read, r.floor = spreadOf(known), spreadOf(read), floor(ends).p95
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// floor returns the delays of a watcher that wastes nothing: it makes every call
// that the quota allows, for 100 builds each, and always asks about those that it
// has not asked about for the longest time.
func floor(ends []time.Time) spread {
	if len(ends) == 0 {
		return spread{}
	}
	const perCall, gap = 100, time.Second / statusQuota
	waiting := slices.Clone(ends)
	now := slices.MinFunc(ends, time.Time.Compare).Add(-time.Minute)
	var delays []time.Duration
	for ; len(waiting) > 0; now = now.Add(gap) {
		asked := waiting[:min(perCall, len(waiting))]
		waiting = waiting[len(asked):]
		for _, end := range asked {
			if end.After(now) {
				waiting = append(waiting[:len(waiting):len(waiting)], end)
				continue
			}
			delays = append(delays, now.Sub(end))
		}
	}
	return spreadOf(delays)
}
