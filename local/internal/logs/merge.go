package logs

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// merge is a heap of the streams that have events left, by the id of the next
// one.
type merge []*filterReader

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return *m[i].found[0].EventId < *m[j].found[0].EventId }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*filterReader)) }
func (m *merge) Pop() any {
	last := len(*m) - 1
	r := (*m)[last]
	*m = (*m)[:last]
	return r
}

// add adds a stream, if it has an event.
func (m *merge) add(r *filterReader) error {
	if err := r.fill(); err != nil {
		return err
	}
	if len(r.found) > 0 {
		heap.Push(m, r)
	}
	return nil
}

// take removes the first event of all.
func (m *merge) take() (types.FilteredLogEvent, error) {
	r := (*m)[0]
	event := r.found[0]
	r.found = r.found[1:]
	err := r.fill()
	if len(r.found) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return event, err
}

// page takes as many events as a page has: up to the query's limit, and up to a
// megabyte. An empty page leads back to its own token.
func (m *merge) page(q query) (*cwl.FilterLogEventsOutput, error) {
	out := &cwl.FilterLogEventsOutput{}
	bytes, token := 0, cmp.Or(q.token, "0")
	for len(*m) > 0 && len(out.Events) < q.limit {
		bytes += len(*(*m)[0].found[0].Message)
		if bytes > maxPageBytes && len(out.Events) > 0 {
			break
		}
		event, err := m.take()
		if err != nil {
			return nil, err
		}
		out.Events, token = append(out.Events, event), *event.EventId
	}
	if full := q.limit > 0 && len(out.Events) == q.limit; full || len(*m) > 0 {
		out.NextToken = &token
	}
	return out, nil
}

// The events of a stream are read in chunks, the first one of which is small:
// most pages end before its end.
const (
	firstChunk = 16
	maxChunk   = 1024
)

// A filterReader reads the events of one stream that match, in the order of
// their ids.
type filterReader struct {
	service *Service
	stream  stream
	query   query
	visible *visibility

	found []types.FilteredLogEvent // read, and not taken yet
	began bool
	from  uint64 // the number of the first event in the query's time range
	next  uint64 // the number of the next event to read
	chunk int
	ended bool
}

func (s *Service) newFilterReader(st stream, q query) *filterReader {
	return &filterReader{service: s, stream: st, query: q, visible: s.visibility(st), chunk: firstChunk}
}

// fill reads on if nothing is left of what was read.
func (r *filterReader) fill() error {
	if len(r.found) > 0 || r.ended {
		return nil
	}
	if err := r.begin(); err != nil {
		return err
	}
	r.ended = true // unless there is more than a chunk
	err := r.service.lines.Walk(linePrefix(r.stream.ID), lineKey(r.stream.ID, r.next), func(e store.Entry[line]) bool {
		r.next = number(e.Key) + 1
		r.take(number(e.Key), e.Value)
		if r.stream.Unordered {
			return true
		}
		full := len(r.found) == r.chunk
		r.ended = !full
		return !full && !r.query.isPast(e.Value)
	})
	r.chunk = min(4*r.chunk, maxChunk)
	r.visible.keep()
	slices.SortFunc(r.found, func(a, b types.FilteredLogEvent) int { return cmp.Compare(*a.EventId, *b.EventId) })
	return err
}

// begin finds where to read from. Events before it that cannot be read yet hold
// up those after them.
func (r *filterReader) begin() (err error) {
	if r.began {
		return nil
	}
	r.began = true
	r.from, err = r.service.firstSince(r.stream, r.query.start)
	r.next = min(r.from, r.visible.next)
	return err
}

// take adds an event to what was read, if it can be seen and matches.
func (r *filterReader) take(n uint64, l line) {
	_, early := r.visible.see(n, l)
	id := eventID(r.stream, n, l.Time)
	if !early || n < r.from || !r.query.matches(id, l) {
		return
	}
	r.found = append(r.found, types.FilteredLogEvent{
		EventId:       &id,
		IngestionTime: aws.Int64(l.Ingested),
		LogStreamName: aws.String(r.stream.Name),
		Message:       aws.String(l.Message),
		Timestamp:     aws.Int64(l.Time),
	})
}

// firstSince returns the number of the first event at or after a time. It is 0
// for a stream whose times go back.
func (s *Service) firstSince(st stream, start int64) (uint64, error) {
	if st.Unordered || start <= st.FirstEvent {
		return 0, nil
	}
	var err error
	n := sort.Search(int(st.Next), func(n int) bool {
		l, found, getErr := s.lines.Get(lineKey(st.ID, uint64(n)))
		err = errors.Join(err, getErr)
		return !found || l.Time >= start
	})
	return uint64(n), err
}

func eventID(st stream, n uint64, at int64) string {
	return fmt.Sprintf("%020d%018d%018d", at, st.ID, n)
}

// timeOfID returns the time in an event's id, 0 if there is none.
func timeOfID(id string) int64 {
	if len(id) < 20 {
		return 0
	}
	at, _ := strconv.ParseInt(id[:20], 10, 64) // eventID wrote it
	return at
}
