package runner

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

const (
	filterStreams = 100 // streams that FilterLogEvents takes at most (API reference)

	// Events become visible late and out of order. Each pass over the streams
	// reads the latest events again, back to shortOverlap, and from time to
	// time back to longOverlap. Events that were read before are recognized by
	// their ids.
	shortOverlap = 20 * time.Second
	longOverlap  = 2 * time.Minute
	longEvery    = 15 // passes

	// Events are returned in their order once a pass that began this much later
	// has found the events that belong before them.
	holdBack = 5 * time.Second

	// A stream whose reader is slow is not read any further once this many
	// bytes are buffered.
	maxBuffered = 4 << 20

	// absentFor is how long a stream that does not exist yet is left out of the
	// passes.
	absentFor = 5 * time.Second
)

// logFilter reads many streams together. Its goroutine runs from the first
// stream to the last.
type logFilter struct {
	calls *calls
	api   logAPI
	pace  *pacer
	most  int // streams
	seed  maphash.Seed

	mu   sync.Mutex
	taps map[*tap]struct{}
	poll *polling // nil while there is no stream
}

// tap is one stream of those that are read together.
type tap struct {
	filter        *logFilter
	group, stream string
	ready         chan time.Time // signals that there is something to read

	// Guarded by the filter's mutex.
	held     []heldEvent // not handed on yet
	buffered int         // bytes of them
	answered bool        // since the last read, a pass was completed
	err      error
	settling settling

	// These fields are used by the filter's goroutine only. Times of events are
	// by the clock of the build's machine. They are compared neither with
	// another clock nor with the times of another stream; only the time that
	// has passed since an event was read is added to them.
	known  horizon // as of the last complete pass
	next   horizon // as of the present pass
	floor  int64   // all events before this time have been read
	seen   map[uint64]int64
	passes int
	absent time.Time // the stream is not read before this time
	paused time.Time // since when the stream's reader is too slow; zero if it is not
}

// horizon is the position up to which a stream has been read.
type horizon struct {
	newest int64     // time of the youngest event
	seenAt time.Time // when that event was read; zero if there was none
	asked  time.Time // when the pass began; zero before the first one
}

// settling is the state of a stream that has returned the build's last line.
// One more pass, over the long overlap, looks for lines that became visible
// after it.
type settling int

const (
	unsettled settling = iota
	settleAsked
	settleReading // by the pass that is under way
	settled
)

func newLogFilter(calls *calls, api logAPI, rate float64) *logFilter {
	return &logFilter{
		calls: calls,
		api:   api,
		pace:  newPacer(logRates(rate)),
		most:  int(rate * logInterval.Seconds() * filterStreams),
		seed:  maphash.MakeSeed(),
		taps:  map[*tap]struct{}{},
	}
}

// join adds a build's stream. It returns nil if there are too many.
func (f *logFilter) join(info Info) logStream {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.taps) >= f.most {
		return nil
	}
	t := &tap{
		filter: f, group: info.logGroup, stream: info.logStream, ready: make(chan time.Time, 1),
		known: horizon{newest: info.Started.UnixMilli()}, seen: map[uint64]int64{},
	}
	f.taps[t] = struct{}{}
	if f.poll == nil {
		f.begin()
	}
	return t
}

func (f *logFilter) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	p := &polling{cancel: cancel, done: make(chan struct{})}
	f.poll = p
	go func() {
		defer close(p.done)
		f.run(ctx)
	}()
}

// close stops reading a stream. Closing the last one waits until the goroutine
// has ended.
func (t *tap) close() {
	f := t.filter
	f.mu.Lock()
	delete(f.taps, t)
	var last *polling
	if len(f.taps) == 0 {
		last, f.poll = f.poll, nil
	}
	f.mu.Unlock()
	if last != nil {
		last.cancel()
		<-last.done
	}
}

// heldEvent is an event that is held back until earlier events have been read.
type heldEvent struct {
	logEvent
	id   string
	seen time.Time
}

func (t *tap) read(context.Context) (logPage, error) {
	t.filter.mu.Lock()
	defer t.filter.mu.Unlock()
	p := logPage{events: t.release(), answered: t.answered}
	p.caughtUp = len(t.held) == 0
	err := t.err
	t.err, t.answered = nil, false
	return p, err
}

// release returns the events that have been held back long enough, and those
// that belong before them.
func (t *tap) release() (events []logEvent) {
	slices.SortFunc(t.held, func(a, b heldEvent) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	ripe := 0
	for i, e := range t.held {
		if t.settling == settled || t.known.asked.Sub(e.seen) >= holdBack {
			ripe = i + 1
		}
	}
	for _, e := range t.held[:ripe] {
		events = append(events, e.logEvent)
		t.buffered -= len(e.message)
	}
	t.held = slices.Delete(t.held, 0, ripe)
	return events
}

func (t *tap) again() <-chan time.Time { return t.ready }

func (t *tap) settle() bool {
	t.filter.mu.Lock()
	defer t.filter.mu.Unlock()
	if t.settling == unsettled {
		t.settling = settleAsked
	}
	return t.settling == settled && len(t.held) == 0
}

// run makes a round of passes every logInterval, or as often as the pacer
// allows.
func (f *logFilter) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		for _, batch := range f.batches() {
			f.pass(ctx, batch)
		}
		_ = sleep(ctx, logInterval-time.Since(began)) // the loop looks at the context
	}
}

// batches returns the streams to read, grouped by their log group and by how
// far back they have to be read. So one stream that is behind does not make all
// others be read again.
func (f *logFilter) batches() (batches [][]*tap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var all []*tap
	for t := range f.taps {
		if t.isReadable(now) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *tap) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.start(), b.start()), cmp.Compare(a.stream, b.stream))
	})
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < filterStreams && all[n].group == all[0].group {
			n++
		}
		batches = append(batches, all[:n])
		all = all[n:]
	}
	return batches
}

// isReadable reports whether a stream takes part in a pass. The clock of a
// stream stands still while its reader is too slow.
func (t *tap) isReadable(now time.Time) bool {
	slow := t.buffered > maxBuffered
	switch {
	case slow && t.paused.IsZero():
		t.paused = now
	case !slow && !t.paused.IsZero():
		if !t.known.seenAt.IsZero() {
			t.known.seenAt = t.known.seenAt.Add(now.Sub(t.paused))
		}
		t.paused = time.Time{}
	}
	return !slow && !now.Before(t.absent)
}

// raise raises the floor, and drops the ids of events that are too old to be
// read again. All events that were visible when the last pass began have been
// read.
func (t *tap) raise() {
	var quiet time.Duration
	if !t.known.seenAt.IsZero() { // without an event, the machine's time is not known
		quiet = max(0, t.known.asked.Sub(t.known.seenAt))
	}
	t.floor = max(t.floor, t.known.newest+(quiet-longOverlap).Milliseconds())
	maps.DeleteFunc(t.seen, func(_ uint64, at int64) bool { return at < t.floor })
}

// start returns the time from which a pass reads the stream.
func (t *tap) start() int64 {
	if t.passes%longEvery == 0 || t.settling != unsettled {
		return t.floor
	}
	return t.floor + (longOverlap - shortOverlap).Milliseconds()
}

// pass reads the new events of up to 100 streams.
func (f *logFilter) pass(ctx context.Context, batch []*tap) {
	err := f.readPages(ctx, batch, f.beginPass(batch))
	switch {
	case ctx.Err() != nil:
	case hasCode(err, "ResourceNotFoundException"):
		f.findAbsent(ctx, batch, err)
	default:
		f.endPass(batch, err)
	}
}

// beginPass begins a pass and returns the time from which it reads.
func (f *logFilter) beginPass(batch []*tap) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	start := int64(math.MaxInt64)
	for _, t := range batch {
		t.raise()
		start = min(start, t.start())
		t.next = horizon{t.known.newest, t.known.seenAt, time.Now()}
		if t.settling == settleAsked {
			t.settling = settleReading
		}
	}
	return max(0, start)
}

// readPages reads all pages of a pass. It repeats a failed call a few times, so
// that one failure does not repeat the whole pass.
func (f *logFilter) readPages(ctx context.Context, batch []*tap, start int64) error {
	byName := map[string]*tap{}
	for _, t := range batch {
		byName[t.stream] = t
	}
	in := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName:   &batch[0].group,
		LogStreamNames: slices.Collect(maps.Keys(byName)),
		StartTime:      &start,
	}
	for failures := 0; ; {
		out, err := f.get(ctx, in)
		switch {
		case err != nil && isTransient(err) && failures < 10 && ctx.Err() == nil:
			failures++
			continue
		case err != nil:
			return err
		}
		failures = 0
		f.deliver(byName, out.Events)
		if out.NextToken == nil {
			return nil
		}
		in.NextToken = out.NextToken
	}
}

func (f *logFilter) get(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput) (out *cloudwatchlogs.FilterLogEventsOutput, err error) {
	if err := f.pace.wait(ctx); err != nil {
		return nil, err
	}
	err = f.calls.once(ctx, "FilterLogEvents", func(ctx context.Context) (err error) {
		out, err = f.api.FilterLogEvents(ctx, in)
		return err
	})
	f.pace.adapt(err)
	return out, err
}

// deliver gives the events that were not read before to their streams.
func (f *logFilter) deliver(byName map[string]*tap, events []logtypes.FilteredLogEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		if t := byName[aws.ToString(e.LogStreamName)]; t != nil && t.isNew(e) {
			event := logEvent{aws.ToInt64(e.Timestamp), aws.ToString(e.Message)}
			t.held = append(t.held, heldEvent{event, aws.ToString(e.EventId), time.Now()})
			t.buffered += len(aws.ToString(e.Message))
		}
	}
}

func (t *tap) isNew(e logtypes.FilteredLogEvent) bool {
	at, id := aws.ToInt64(e.Timestamp), maphash.String(t.filter.seed, aws.ToString(e.EventId))
	if _, known := t.seen[id]; known || at < t.floor {
		return false
	}
	t.seen[id] = at
	if at >= t.next.newest {
		t.next.newest, t.next.seenAt = at, time.Now()
	}
	return true
}

// endPass signals the end of a pass to the readers of its streams.
func (f *logFilter) endPass(batch []*tap, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range batch {
		t.err, t.answered = err, err == nil
		if err == nil {
			t.passes++
			t.known = t.next
		}
		t.settling = t.settling.after(err)
		select {
		case t.ready <- time.Now():
		default:
		}
	}
}

func (s settling) after(err error) settling {
	switch {
	case s == settleReading && err == nil:
		return settled
	case s == settleReading:
		return settleAsked
	}
	return s
}

// findAbsent finds the streams that do not exist. The service refuses a call
// that names such a stream and does not say which one it is.
func (f *logFilter) findAbsent(ctx context.Context, batch []*tap, err error) {
	if len(batch) == 1 {
		batch[0].absent = time.Now().Add(absentFor)
		f.endPass(batch, err)
		return
	}
	half := len(batch) / 2
	f.pass(ctx, batch[:half])
	f.pass(ctx, batch[half:])
}

// errTooManyLogs is the reason for which a log is not followed.
var errTooManyLogs = errors.New("more logs are followed than the rate of calls allows (WithLogRate)")
