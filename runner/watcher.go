package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/jonboulle/clockwork"
)

const (
	batchSize = 100 // builds a BatchGetBuilds call takes at most

	// A round of polling follows the last one after a twentieth of the youngest
	// watch's age: nobody waits long for a short build, and a long one costs few
	// calls.
	minInterval = time.Second
	maxInterval = 5 * time.Second
	intervalAge = 20

	callTimeout    = 30 * time.Second // of one call
	outagePatience = time.Minute      // how long calls may fail before a watch gives up

	// A build is not found at once after StartBuild. One that we did not start
	// ourselves has most likely never been there.
	graceStarted = 30 * time.Second
	graceForeign = 3 * time.Second
	graceNone    = 0
)

// watcher polls the builds that somebody waits for, all of a client's together.
// It has no goroutine: of those who wait, one holds the lead and polls for all.
type watcher struct {
	builds buildAPI
	clock  clockwork.Clock
	pace   *pacer
	lead   chan struct{} // holds a token while somebody polls
	joined chan struct{} // tells who polls that there is a new watch

	mu      sync.Mutex
	watches map[*watch]struct{}
	due     time.Time // the next round
}

// watch is somebody's waiting for one build.
type watch struct {
	watcher *watcher
	id      string
	grace   time.Duration
	since   time.Time   // when it began
	news    chan update // the latest, if it has not been taken

	// Used by the leader only.
	missing time.Time // since when the build is not found
	failing time.Time // since when calls fail
	told    bool      // that they fail
}

// update is what polling learnt about a build.
type update struct {
	info    Info
	trouble error // polling fails for now, and goes on
	err     error // the watch has ended
}

func newWatcher(builds buildAPI, clock clockwork.Clock) *watcher {
	return &watcher{
		builds:  builds,
		clock:   clock,
		pace:    newPacer(clock, pollRate),
		lead:    make(chan struct{}, 1),
		joined:  make(chan struct{}, 1),
		watches: map[*watch]struct{}{},
	}
}

// watch begins to wait for a build. Call leave at the end.
func (w *watcher) watch(id string, grace time.Duration) *watch {
	m := &watch{watcher: w, id: id, grace: grace, since: w.clock.Now(), news: make(chan update, 1)}
	w.mu.Lock()
	w.watches[m] = struct{}{}
	w.due = m.since
	w.mu.Unlock()
	select {
	case w.joined <- struct{}{}:
	default:
	}
	return m
}

func (m *watch) leave() {
	m.watcher.mu.Lock()
	defer m.watcher.mu.Unlock()
	delete(m.watcher.watches, m)
}

// next returns the next news, or false if the alarm rings first (nil never
// does). Meanwhile it may poll for everybody.
func (m *watch) next(ctx context.Context, alarm <-chan time.Time) (update, bool, error) {
	for {
		switch {
		case len(m.news) > 0:
			return <-m.news, true, nil
		case ctx.Err() != nil:
			return update{}, false, ctx.Err()
		}
		select {
		case u := <-m.news:
			return u, true, nil
		case <-alarm:
			return update{}, false, nil
		case <-ctx.Done():
			return update{}, false, ctx.Err()
		case m.watcher.lead <- struct{}{}:
			rang := len(m.news) == 0 && m.watcher.round(ctx, alarm)
			<-m.watcher.lead
			if rang {
				return update{}, false, nil
			}
		}
	}
}

// round waits until the next round is due and polls all builds once. It returns
// early, for somebody else to go on, when the context ends, and when the alarm
// rings: then with true.
func (w *watcher) round(ctx context.Context, alarm <-chan time.Time) (rang bool) {
	switch w.untilDue(ctx, alarm) {
	case waitAlarm:
		return true
	case waitAgain:
		return false
	}
	for ids := range slices.Chunk(w.begin(), batchSize) {
		if !w.poll(ctx, ids) {
			return false // the round is still due, for another one to make
		}
	}
	w.end()
	return false
}

// begin lists the builds of a round.
func (w *watcher) begin() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
	var ids []string
	for m := range w.watches {
		ids = append(ids, m.id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// end says when the next round is due, unless a watch that joined meanwhile has
// already said so.
func (w *watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.due.IsZero() {
		now := w.clock.Now()
		w.due = now.Add(interval(w.youngest(now)))
	}
}

type waitEnd int

const (
	waitDue   waitEnd = iota // it is time to poll
	waitAlarm                // the alarm rang
	waitAgain                // look again
)

func (w *watcher) untilDue(ctx context.Context, alarm <-chan time.Time) waitEnd {
	w.mu.Lock()
	wait := w.due.Sub(w.clock.Now())
	w.mu.Unlock()
	if wait <= 0 {
		return waitDue
	}
	timer := w.clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return waitDue
	case <-alarm:
		return waitAlarm
	case <-w.joined:
		return waitAgain
	case <-ctx.Done():
		return waitAgain
	}
}

// youngest is the age of the youngest watch.
func (w *watcher) youngest(now time.Time) time.Duration {
	age := time.Duration(1<<63 - 1)
	for m := range w.watches {
		age = min(age, now.Sub(m.since))
	}
	return age
}

// interval is the time between two rounds. Many builds need several calls a
// round, which the pacer stretches further.
func interval(youngest time.Duration) time.Duration {
	return min(max(youngest/intervalAge, minInterval), maxInterval)
}

// poll asks for up to 100 builds and tells those who wait for them. It returns
// false if the caller's context ended: that is no news for the others.
func (w *watcher) poll(ctx context.Context, ids []string) bool {
	if w.pace.wait(ctx) != nil {
		return false
	}
	found, err := getBuilds(ctx, w.builds, ids)
	if ctx.Err() != nil {
		return false
	}
	w.pace.learn(err)
	if half := len(ids) / 2; half > 0 && blamesAnID(err) {
		return w.poll(ctx, ids[:half]) && w.poll(ctx, ids[half:])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for m := range w.watches {
		if _, asked := slices.BinarySearch(ids, m.id); asked {
			info, ok := found[m.id]
			m.tell(m.judge(w.clock.Now(), info, ok, err))
		}
	}
	return true
}

// blamesAnID tells whether a call may have failed for one id among good ones, such
// as that of a project which the caller may not see.
func blamesAnID(err error) bool {
	return hasCode(err, "InvalidInputException") || causeOf(err) == ErrAccessDenied
}

// getBuilds makes one attempt: pacing and repeating are the watcher's own.
func getBuilds(ctx context.Context, builds buildAPI, ids []string) (map[string]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: ids}, func(o *codebuild.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return nil, err
	}
	found := make(map[string]Info, len(out.Builds))
	for _, build := range out.Builds {
		found[aws.ToString(build.Id)] = parseBuild(build)
	}
	return found, nil
}

// judge turns a call's answer into news, nil if there is none.
func (m *watch) judge(now time.Time, info Info, found bool, err error) *update {
	switch {
	case err != nil:
		return m.judgeError(now, err)
	case found:
		m.missing, m.failing, m.told = time.Time{}, time.Time{}, false
		return &update{info: info}
	}
	m.failing, m.told = time.Time{}, false
	if m.missing.IsZero() {
		m.missing = now
	}
	if now.Sub(m.missing) < m.grace {
		return nil
	}
	return &update{err: notFound(m.id)}
}

func (m *watch) judgeError(now time.Time, err error) *update {
	if isThrottle(err) {
		return nil // the pacer slows down
	}
	explained := explain("get the state of build "+m.id, err)
	if m.failing.IsZero() {
		m.failing = now
	}
	failing := now.Sub(m.failing)
	switch {
	case !isTransient(err), failing >= outagePatience:
		return &update{err: explained}
	case failing > 0 && !m.told: // a call that fails once is not worth a word
		m.told = true
		return &update{trouble: explained}
	}
	return nil
}

func notFound(id string) error {
	return fmt.Errorf("%w: %q: list the builds to see those of the last year", ErrBuildNotFound, id)
}

// tell replaces news that have not been taken. Only the leader tells.
func (m *watch) tell(u *update) {
	if u == nil {
		return
	}
	select {
	case <-m.news:
	default:
	}
	m.news <- *u
}
