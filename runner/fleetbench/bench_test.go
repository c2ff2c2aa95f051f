package fleetbench

import (
	"flag"
	"fmt"
	"runtime/debug"
	"testing"
	"time"
)

var (
	all   = flag.Bool("all", false, "measure fleets of up to 10,000 builds")
	write = flag.Bool("write", false, "write the tables and plots into docs")
)

// scenario is a fleet, whether its logs are followed, and whether the service
// is far away.
type scenario struct {
	builds int
	logs   bool
	far    bool
}

var (
	small = []scenario{{builds: 1, logs: true}, {builds: 4, logs: true}, {builds: 4}, {builds: 4, far: true}}
	large = []scenario{
		{builds: 1, logs: true}, {builds: 10, logs: true}, {builds: 100, logs: true}, {builds: 300, logs: true},
		{builds: 1}, {builds: 10}, {builds: 100}, {builds: 1000}, {builds: 10000}, {builds: 10000, far: true},
	}
)

func TestFleet(t *testing.T) {
	debug.SetGCPercent(400) // the engine keeps a fleet's builds in memory
	scenarios := small
	if *all {
		scenarios = large
	}
	var r report
	for _, s := range scenarios {
		r = append(r, measure(t, runnerClient, s))
		if s.far {
			continue
		}
		for _, w := range []who{poller5, poller30} {
			r = append(r, measure(t, w, s))
		}
	}
	fmt.Printf("%s\n%s\n", r.table(true), r.table(false))
	r.check(t)
	if *write {
		r.write(t)
	}
}

// report is all that was measured.
type report []figures

// check compares what the runner did with what it promises. Figures that a
// report does not have are not compared.
func (r report) check(t *testing.T) {
	for _, f := range r.of(runnerClient) {
		f.checkResults(t)
		f.checkDelay(t)
		if f.far {
			continue
		}
		poller := r.find(poller5, f.scenario)
		if ratio := float64(poller.calls[askBuilds]) / float64(f.calls[askBuilds]); f.builds == 1000 && ratio < 100 {
			t.Errorf("%v: %d calls of %s, the poller's %d are %.0f times as many: want 100 times", f, f.calls[askBuilds], askBuilds, poller.calls[askBuilds], ratio)
		}
		if f.builds >= 1000 && f.known.p95() > poller.known.p95() {
			t.Errorf("%v: p95 %v, the poller's is %v", f, f.known.p95(), poller.known.p95())
		}
	}
}

func (f figures) checkResults(t *testing.T) {
	if f.failed+f.lost+f.repeated > 0 {
		t.Errorf("%v: %d waits failed, %d lines were lost and %d repeated", f, f.failed, f.lost, f.repeated)
	}
	if f.throttled[askBuilds] > 0 {
		t.Errorf("%v: %d calls of %s above the quota", f, f.throttled[askBuilds], askBuilds)
	}
	if f.builds >= 1000 && f.memory > 20<<10 {
		t.Errorf("%v: %.0f bytes of memory a build, want 20 KB at most", f, f.memory)
	}
}

// checkDelay compares the delays with their limits. The quota bounds those of
// large fleets.
func (f figures) checkDelay(t *testing.T) {
	limit := time.Hour
	switch {
	case f.builds <= 100 && f.logs:
		limit = 1500 * time.Millisecond
	case f.builds <= 300 && f.logs:
		limit = 3 * time.Second
	case f.builds >= 10000:
		limit = f.floor * 3 / 2
	}
	if !*all { // the p95 of a few builds is their maximum
		limit = max(limit, 2*time.Second)
	}
	if f.known.p95() > limit {
		t.Errorf("%v: p95 %v, want %v at most", f, f.known.p95(), limit)
	}
}

func (r report) of(w who) (of []figures) {
	for _, f := range r {
		if f.who == w.name {
			of = append(of, f)
		}
	}
	return of
}

func (r report) find(w who, s scenario) figures {
	for _, f := range r.of(w) {
		if f.scenario == s {
			return f
		}
	}
	return figures{}
}
