package runner

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// progressInterval is how often the progress of a long upload is reported. A
// shorter one is not reported.
const progressInterval = 5 * time.Second

// meter counts bytes.
type meter struct{ atomic.Int64 }

func (m *meter) add(bytes int) { m.Add(int64(bytes)) }

// metered is a file whose read position the meter holds. It has only the
// methods that keep the meter right.
type metered struct {
	file  io.ReadSeeker
	meter *meter
}

func (m metered) Read(text []byte) (int, error) {
	n, err := m.file.Read(text)
	m.meter.Add(int64(n))
	return n, err
}

func (m metered) Seek(offset int64, whence int) (int64, error) {
	place, err := m.file.Seek(offset, whence)
	m.meter.Store(place)
	return place, err
}

// withProgress runs do. Until do returns, withProgress emits e every five
// seconds with the bytes counted so far. It emits from the caller's goroutine
// because a run's events come from one goroutine.
func withProgress(m *meter, e Event, emit func(Event), do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			e.Time, e.Bytes = now.UTC(), m.Load()
			emit(e)
		}
	}
}

// stallTimeout is how long an upload may make no progress. An upload that makes
// progress has no time limit.
const stallTimeout = time.Minute

// whileMoving returns a context that is cancelled, with [ErrUnreachable] as the
// cause, if the meter has not changed for stallTimeout. Call stop when the work
// is done.
func whileMoving(ctx context.Context, m *meter) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	tick := time.NewTicker(progressInterval)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer tick.Stop()
		place, since := m.Load(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if m.Load() != place {
					place, since = m.Load(), now
				}
				if now.Sub(since) >= stallTimeout {
					cancel(fmt.Errorf("%w: no byte could be sent for %v, and the answer has not come: %s", ErrUnreachable, stallTimeout, advice[ErrUnreachable]))
				}
			}
		}
	})
	return ctx, func() { cancel(nil); watching.Wait() }
}
