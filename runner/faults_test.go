package runner_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// TestFaults runs builds in virtual time with another mixture of faults for
// each seed. FLEXBUILD_FAULT_SEEDS sets the number of seeds, or the one seed to
// repeat, as "=17".
func TestFaults(t *testing.T) {
	first, last := uint64(1), uint64(4)
	if text := os.Getenv("FLEXBUILD_FAULT_SEEDS"); text != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "="), 10, 64)
		if err != nil {
			t.Fatalf("FLEXBUILD_FAULT_SEEDS=%s: give how many seeds, or =SEED", text)
		}
		if last = n; strings.HasPrefix(text, "=") {
			first = n
		}
	}
	for seed := first; seed <= last; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newTrial(t, seed).run(t) })
		})
	}
}

// trial is a run of the test with one seed.
type trial struct {
	seed    uint64
	random  *rand.Rand
	faults  *localtest.Faults
	delay   time.Duration // of events of the log, at most
	offset  time.Duration // of the service's clock
	page    int           // events in a page of a log, at most
	clients int
	runs    []*trialRun

	mu     sync.Mutex
	builds map[string]*trialBuild // by tag
}

// trialRun is one call of Run and what it returned.
type trialRun struct {
	tag    string
	cancel time.Duration // 0: never

	result   *runner.Result
	err      error
	lines    []string
	all      []string // events, for people who look for a fault
	complete bool
	ended    bool // there was an EventLogEnd
}

// trialBuild is what a build really did.
type trialBuild struct {
	length  time.Duration
	fails   bool
	lines   []string
	started int
	status  runner.Status // once it has ended
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func newTrial(t *testing.T, seed uint64) *trial {
	r := rand.New(rand.NewPCG(seed, 0))
	second := func(most int) time.Duration { return time.Duration(r.IntN(most+1)) * time.Second }
	tr := &trial{
		seed: seed, random: r, builds: map[string]*trialBuild{},
		faults: &localtest.Faults{
			Seed:       seed,
			Throttled:  pick(r, 0, 0.1, 0.1, 0.5, 0.9),
			Failed:     pick(r, 0, 0.02, 0.1),
			NotSent:    pick(r, 0, 0.02),
			CutBefore:  pick(r, 0, 0.02),
			AnswerLost: pick(r, 0, 0.05, 0.3),
			Truncated:  pick(r, 0, 0.05, 0.3),
			Stalled:    pick(r, 0, 0.02),
			NotFound:   pick(r, 0, second(20)), LogPlaceLate: pick(r, 0, second(30)), LogPlaceLost: pick(r, 0, 0, 0.1),
			Only: []string{"StartBuild", "StopBuild", "BatchGetBuilds", "ListBuildsForProject", "GetLogEvents", "FilterLogEvents"},
		},
		delay: pick(r, 0, second(15)), offset: pick(r, 0, -10*time.Minute, 10*time.Minute),
		page: pick(r, 10_000, 10_000, 100, 3), clients: 1,
	}
	if f := tr.faults; f.Throttled > 0.5 { // with all the others, nothing would work for more than 10 minutes
		f.Failed, f.NotSent, f.CutBefore, f.AnswerLost, f.Truncated, f.Stalled = 0, 0, 0, 0.01, 0.01, 0
	}
	runs := pick(r, 1, 1, 1, 10, 10, 10, 10, 50)
	switch r.IntN(24) {
	case 0:
		tr.clients, runs = 30, 30
	case 1:
		runs, tr.faults.Throttled = 300, min(0.1, tr.faults.Throttled) // with more, starting them takes an hour
	}
	if runs > 10 {
		tr.page = max(tr.page, 500) // else each pass over the logs takes thousands of calls
	}
	most := pick(r, time.Minute, time.Minute, time.Minute, 5*time.Minute)
	for i := range runs {
		tr.add(i, runs > 100, most)
	}
	return tr
}

// add plans a run and its build, which takes at most so long.
func (tr *trial) add(i int, many bool, most time.Duration) {
	r := tr.random
	tag := fmt.Sprintf("app:%d", i)
	b := &trialBuild{length: time.Duration(r.Int64N(int64(most))), fails: r.IntN(5) == 0}
	lines := pick(r, 0, 1, 20, 200)
	if many || tr.page < 10 {
		lines = min(lines, 20)
	}
	for n := range lines {
		b.lines = append(b.lines, fmt.Sprintf("%s line %d", tag, n))
	}
	run := &trialRun{tag: tag}
	if r.IntN(4) == 0 {
		run.cancel = time.Duration(1 + r.Int64N(int64(most+most/2))*r.Int64N(2))
	}
	tr.builds[tag], tr.runs = b, append(tr.runs, run)
}

// build returns the inside of a simulated build: its lines come in bursts.
func (tr *trial) build(b *localtest.Build) error {
	tr.mu.Lock()
	plan := tr.builds[b.Environment["TAG"]]
	plan.started++
	tr.mu.Unlock()
	bursts := slices.Collect(slices.Chunk(plan.lines, max(1, len(plan.lines)/4)))
	for _, burst := range bursts {
		b.Log(burst...)
		if !pause(b.Context(), plan.length/time.Duration(len(bursts)+1)) {
			return b.Context().Err()
		}
	}
	if !pause(b.Context(), plan.length/time.Duration(len(bursts)+1)) {
		return b.Context().Err()
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if plan.status = runner.Succeeded; plan.fails {
		plan.status = runner.Failed
		return localtest.ExitStatus(1)
	}
	b.ExportImage()
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// hash gives each event of each stream a delay of its own.
func (tr *trial) eventDelay(stream string, event uint64) time.Duration {
	h := fnv.New64a()
	fmt.Fprint(h, tr.seed, stream, event)
	return time.Duration(h.Sum64() % uint64(tr.delay+1))
}

func (tr *trial) run(t *testing.T) {
	t.Logf("%d runs, %d clients, log delay %v, clock offset %v, pages of %d; repeat with FLEXBUILD_FAULT_SEEDS==%d", len(tr.runs), tr.clients, tr.delay, tr.offset, tr.page, tr.seed)
	var pages sync.Mutex
	random := rand.New(rand.NewPCG(tr.seed, 3))
	engine := localtest.New(t, localtest.InMemory(), localtest.WithConcurrency(400), localtest.WithClockOffset(tr.offset),
		localtest.SimulateBuilds(tr.build), func(o *local.Options) {
			o.LogDelay = tr.eventDelay
			o.LogPage = func() int {
				pages.Lock()
				defer pages.Unlock()
				return random.IntN(tr.page + 1)
			}
		})
	engine.Deploy(t, buildspec.StackName, localtest.WithoutBuildspec(t, flexbuild.Template))
	began := time.Now()
	var all sync.WaitGroup
	for _, client := range tr.newClients(t, engine) {
		for i, run := range tr.runs {
			if i%tr.clients == client.index {
				all.Go(func() { run.do(t.Context(), client.Client) })
			}
		}
	}
	all.Wait()
	if took := time.Since(began); took > 12*time.Hour {
		t.Errorf("it took %v", took)
	}
	tr.check(t, client(t, engine))
}

type trialClient struct {
	*runner.Client
	index int
}

func (tr *trial) newClients(t *testing.T, engine *localtest.Engine) (clients []trialClient) {
	for i := range tr.clients {
		c, err := runner.New(t.Context(), tr.faults.Config(engine.Config()), buildspec.StackName)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, trialClient{c, i})
	}
	return clients
}

func (run *trialRun) do(ctx context.Context, client *runner.Client) {
	if run.cancel > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, run.cancel)
		defer cancel()
	}
	request := runner.Request{Source: runner.Git{URL: "https://git.example/org/repo.git"}, Tags: []string{run.tag}}
	run.result, run.err = client.Run(ctx, request, runner.WithRetries(0), runner.WithLogMode(runner.LogFollow), runner.WithEvents(func(e runner.Event) {
		run.all = append(run.all, fmt.Sprint(time.Now().Format(time.TimeOnly), " ", e.Type, " ", e.Phase.Name, e.Phase.Status, e.Line.Kind, " ", e.Line.Raw, e.Note))
		switch {
		case e.Type == runner.EventLog && e.Line.Kind == runner.LineOutput:
			run.lines = append(run.lines, e.Line.Text)
		case e.Type == runner.EventLogEnd:
			run.complete, run.ended = e.LogsComplete, true
		}
	}))
}

// check compares what the runs returned with what their builds did.
func (tr *trial) check(t *testing.T, client *runner.Client) {
	running := map[string]string{}
	count := map[string]int{}
	for info, err := range client.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		count[info.Tags[0]]++
		if !info.Done() {
			running[info.Tags[0]] = info.BuildID
		}
	}
	for _, run := range tr.runs {
		b := tr.builds[run.tag]
		if count[run.tag] > 1 || b.started > 1 {
			t.Errorf("%s: started %d times", run.tag, max(count[run.tag], b.started))
		}
		if id := running[run.tag]; id != "" && !run.saysSo(id) {
			t.Errorf("%s: left running, and the error does not say so: %v", run.tag, run.err)
		}
		run.check(t, b, tr.mayLoseLogs())
	}
	time.Sleep(10 * time.Minute) // let what goes on come to its end
}

// saysSo reports whether the error names the build, or the request by which it
// can be found.
func (run *trialRun) saysSo(id string) bool {
	return errors.Is(run.err, runner.ErrUnknownStart) || run.err != nil && strings.Contains(run.err.Error(), id)
}

// mayLoseLogs reports whether the service says never, or later than the runner
// waits for it (20 seconds), where a log is, or answers so rarely that nothing
// can be read for 10 minutes.
func (tr *trial) mayLoseLogs() bool {
	f := tr.faults
	return f.LogPlaceLost > 0 || f.LogPlaceLate > 15*time.Second || f.Throttled+f.Failed+f.AnswerLost+f.Truncated > 0.5
}

// check compares what a run said with its build.
func (run *trialRun) check(t *testing.T, b *trialBuild, mayLoseLogs bool) {
	var failed *runner.BuildError
	switch {
	case run.err == nil:
		if b.status != runner.Succeeded || run.result.Status != b.status || run.result.Digest == "" {
			t.Errorf("%s: the result is %v, the build was %q", run.tag, run.result.Status, b.status)
		}
	case run.cancel > 0 && errors.Is(run.err, context.DeadlineExceeded), errors.Is(run.err, runner.ErrUnknownStart):
	case errors.As(run.err, &failed):
		if b.status != runner.Failed || failed.Status != runner.Failed {
			t.Errorf("%s: %v, but the build was %q", run.tag, run.err, b.status)
		}
	default:
		t.Errorf("%s: %v; what it said:\n%s", run.tag, run.err, strings.Join(run.all, "\n"))
	}
	got, want := slices.Sorted(slices.Values(run.lines)), slices.Sorted(slices.Values(b.lines))
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("%s: lines are repeated: %q", run.tag, got)
	}
	if run.complete && !slices.Equal(got, want) {
		t.Errorf("%s: %d of %d lines were read, and the log is said to be complete; what it said:\n%s", run.tag, len(got), len(want), strings.Join(run.all, "\n"))
	}
	if run.ended && !run.complete && !mayLoseLogs && run.cancel == 0 {
		t.Errorf("%s: the log could be read, and is said to be incomplete: %d of %d lines; what it said:\n%s", run.tag, len(got), len(want), strings.Join(run.all, "\n"))
	}
}
