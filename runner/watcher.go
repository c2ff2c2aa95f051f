package runner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
)

const (
	batchSize = 100 // builds a BatchGetBuilds call takes at most (API reference)

	// A build is polled again after minInterval. The interval grows with the
	// number of builds and with the time that the build has been waited for.
	minInterval = 1250 * time.Millisecond
	maxInterval = 5 * time.Second
	intervalAge = 480         // the interval is at least the wait divided by this: 2.5 seconds after 20 minutes
	callEvery   = time.Second // if a call does not cover all builds
	// At most maxInFlight calls run at the same time. With a single call at a
	// time, slow answers would keep the rate below the pacer's.
	maxInFlight = 8
	// A build that has ended does not change any more.
	finalInterval = time.Hour

	// silencePatience is how long nothing may be known about a build before its
	// waits are given up.
	silencePatience = 10 * time.Minute

	// CodeBuild does not find a build for a while after StartBuild. A build
	// that this client did not start has most likely never existed.
	graceStarted = 2 * time.Minute
	graceForeign = 5 * time.Second
	graceNone    = 0
)

// watcher polls all builds of a client that are waited for. Its goroutine runs
// from the first watch to the last, and ends after its calls have ended.
type watcher struct {
	calls  *calls
	builds buildAPI
	pace   *pacer
	ended  func() // called when a build has ended

	mu      sync.Mutex
	watches map[*watch]struct{}
	poll    *polling // nil while there is no watch
}

// polling is the life of the watcher's goroutine.
type polling struct {
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // signals that the first due time may have changed
}

// watch is one wait for one build.
type watch struct {
	watcher *watcher
	id      string
	grace   time.Duration
	since   time.Time   // when it began
	updates chan update // the latest update, if it has not been received

	// Guarded by the watcher's mutex.
	due     time.Time // when to poll again
	asked   time.Time // when the build was last polled
	asking  bool      // whether that call is unanswered
	asOf    time.Time // when the call began that gave the latest answer
	known   time.Time // when the build's state was last known
	missing time.Time // since when the build is not found
	status  Status
	notices notice
}

// update is a result of polling a build.
type update struct {
	info    *Info // not to be changed
	trouble error // the state cannot be read at present; polling goes on
	err     error // the watch has ended
}

func newWatcher(calls *calls, builds buildAPI) *watcher {
	return &watcher{
		calls:   calls,
		builds:  builds,
		pace:    newPacer(pollRates),
		ended:   func() {},
		watches: map[*watch]struct{}{},
	}
}

// watch begins to wait for a build. The build is polled at once, or a little
// later if it has just been started. Call leave when the wait ends.
func (w *watcher) watch(id string, grace time.Duration, started time.Time) *watch {
	now := time.Now()
	m := &watch{watcher: w, id: id, grace: grace, since: now, known: now, due: now, updates: make(chan update, 1)}
	if first := started.Add(minInterval); first.After(now) {
		m.due = first
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watches[m] = struct{}{}
	if w.poll == nil {
		w.begin()
	}
	w.poll.signal()
	return m
}

func (p *polling) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	p := &polling{cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	w.poll = p
	go func() {
		defer close(p.done)
		w.run(ctx, p)
	}()
}

// leave ends a watch. The last one ends the polling and waits until it has
// ended.
func (m *watch) leave() {
	w := m.watcher
	w.mu.Lock()
	delete(w.watches, m)
	var last *polling
	if len(w.watches) == 0 {
		last, w.poll = w.poll, nil
	}
	w.mu.Unlock()
	if last != nil {
		last.cancel()
		<-last.done
	}
}

// next returns the next update, or false if the alarm fires first. A nil alarm
// never fires.
func (m *watch) next(ctx context.Context, alarm <-chan time.Time) (update, bool, error) {
	select {
	case u := <-m.updates:
		return u, true, nil
	default:
	}
	select {
	case u := <-m.updates:
		return u, true, nil
	case <-alarm:
		return update{}, false, nil
	case <-ctx.Done():
		return update{}, false, ctx.Err()
	}
}

// run polls until its context ends.
func (w *watcher) run(ctx context.Context, p *polling) {
	var asking sync.WaitGroup
	defer asking.Wait()
	inFlight := make(chan struct{}, maxInFlight)
	for ctx.Err() == nil {
		if pause := time.Until(w.firstDue()); pause > 0 {
			idle(ctx, p.wake, pause)
			continue
		}
		inFlight <- struct{}{} // does not block for long after ctx ends, because its calls end too
		if w.pace.wait(ctx) != nil {
			return
		}
		began := time.Now()
		ids := w.choose(began)
		asking.Go(func() {
			if len(ids) > 0 {
				w.ask(ctx, began, ids)
			}
			<-inFlight
			p.signal()
		})
	}
}

// idle waits until the pause is over, a signal on wake, or the end of the
// context.
func idle(ctx context.Context, wake <-chan struct{}, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// firstDue returns when the next build is due.
func (w *watcher) firstDue() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := time.Now().Add(maxInterval)
	for m := range w.watches {
		if !m.asking && m.due.Before(first) {
			first = m.due
		}
	}
	return first
}

// choose returns the builds of the next call: those that are due, the most
// overdue ones first, and then, as far as there is room, those that are due
// next unless they have just been polled. It marks their watches as polled.
func (w *watcher) choose(now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(w.watches), func(a, b *watch) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.id, b.id))
	})
	chosen := map[string]bool{}
	for _, m := range all {
		early := m.due.After(now) && now.Sub(m.asked) < minInterval/2
		if len(chosen) < batchSize && !early && !m.asking {
			chosen[m.id] = true
		}
	}
	for _, m := range all {
		if chosen[m.id] {
			m.asked, m.asking = now, true
		}
	}
	return slices.Sorted(maps.Keys(chosen))
}

// interval returns the time between two polls of a build, given the number of
// builds and the build's age.
func interval(builds int, age time.Duration) time.Duration {
	byNumber := callEvery * time.Duration(builds) / batchSize
	return min(max(byNumber, age/intervalAge, minInterval), maxInterval)
}

// ask polls up to 100 builds that were chosen at the time began, and notifies
// their watches.
func (w *watcher) ask(ctx context.Context, began time.Time, ids []string) {
	found, err := w.getBuilds(ctx, ids)
	if ctx.Err() != nil {
		return
	}
	w.pace.adapt(err)
	if half := len(ids) / 2; half > 0 && blamesAnID(err) {
		for _, part := range [][]string{ids[:half], ids[half:]} {
			if w.pace.wait(ctx) == nil {
				w.ask(ctx, began, part)
			}
		}
		return
	}
	w.answer(began, ids, found, err)
}

// answer notifies the watches of the builds of a call.
func (w *watcher) answer(began time.Time, ids []string, found map[string]Info, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, lag, running := time.Now(), time.Duration(0), w.running()
	for m := range w.watches {
		if _, asked := slices.BinarySearch(ids, m.id); !asked || m.isStale(began) {
			continue
		}
		lag = max(lag, now.Sub(m.known))
		info, ok := found[m.id]
		m.asOf, m.asking = began, m.asked.After(began)
		m.due = now.Add(interval(running, now.Sub(m.since)))
		if ok && info.isFinal() {
			m.due = now.Add(finalInterval)
		}
		if ok && info.Done() && !m.status.done() {
			w.ended()
		}
		m.notify(m.evaluate(now, info, ok, err))
	}
	w.measure(lag)
}

// isStale reports whether a call began too early for the watch to use its
// answer: before the watch began, because its caller may have changed the build
// since, or before the call that gave the watch's latest answer.
func (m *watch) isStale(began time.Time) bool {
	return began.Before(m.since) || began.Before(m.asOf)
}

// running returns the number of builds that are not known to have ended. A
// build that is watched several times counts once.
func (w *watcher) running() int {
	ids := map[string]struct{}{}
	for m := range w.watches {
		if !m.status.done() {
			ids[m.id] = struct{}{}
		}
	}
	return len(ids)
}

func (w *watcher) measure(lag time.Duration) {
	if w.calls.metrics == nil {
		return
	}
	states := map[Status]int{}
	for m := range w.watches {
		states[cmp.Or(m.status, InProgress)]++
	}
	w.calls.metrics.Watched(states, lag)
}

// blamesAnID reports whether a call may have failed because of one id among
// others, such as the id of a project that the caller may not see.
func blamesAnID(err error) bool {
	return hasCode(err, "InvalidInputException") || causeOf(err) == ErrAccessDenied
}

func (w *watcher) getBuilds(ctx context.Context, ids []string) (found map[string]Info, err error) {
	err = w.calls.once(ctx, "BatchGetBuilds", func(ctx context.Context) error {
		out, err := w.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: ids})
		if err == nil {
			found = parseBuilds(out)
		}
		return err
	})
	return found, err
}

// parseBuilds parses an answer. It records the service's time of the answer
// with each build.
func parseBuilds(out *codebuild.BatchGetBuildsOutput) map[string]Info {
	asOf, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	found := make(map[string]Info, len(out.Builds))
	for _, build := range out.Builds {
		info := parseBuild(build)
		info.asOf = asOf
		found[aws.ToString(build.Id)] = info
	}
	return found
}

// evaluate returns the update that follows from a call's answer, or nil if
// nothing has changed.
func (m *watch) evaluate(now time.Time, info Info, found bool, err error) *update {
	switch {
	case found && m.status.done() && !info.Done(): // the answer of a server that lags behind
		m.known = now
		return nil
	case found:
		m.known, m.missing, m.notices, m.status = now, time.Time{}, notice{}, info.Status
		return &update{info: &info}
	case err != nil:
		return m.evaluateError(now, err)
	}
	m.known = now
	if m.missing.IsZero() {
		m.missing = now
	}
	if now.Sub(m.missing) >= m.grace {
		return &update{err: notFound(m.id)}
	}
	return m.trouble(fmt.Errorf("build %s is not found yet", m.id))
}

func (m *watch) evaluateError(now time.Time, err error) *update {
	explained := explain("get the state of build "+m.id, err)
	if !isTransient(err) || now.Sub(m.known) >= silencePatience {
		return &update{err: explained}
	}
	return m.trouble(explained)
}

func (m *watch) trouble(err error) *update {
	if !m.notices.isDue() {
		return nil
	}
	return &update{trouble: err}
}

func notFound(id string) error {
	return fmt.Errorf("%w: %q: list the builds to see those of the last year", ErrBuildNotFound, id)
}

// notify replaces an update that has not been received. Only the watcher calls
// it. An update about trouble does not replace one about the build's state.
func (m *watch) notify(u *update) {
	if u == nil || u.trouble != nil && len(m.updates) > 0 {
		return
	}
	select {
	case <-m.updates:
	default:
	}
	m.updates <- *u
}
