package logs

import "github.com/codebuild-flex/flexbuild/local/internal/store"

// earliness is how much earlier than GetLogEvents, at most, FilterLogEvents
// finds an event that comes after one which cannot be read yet, in
// milliseconds.
const earliness = 4000

// A visibility determines which events of a stream can be read. It has to see
// the events in their order, at least from next on.
type visibility struct {
	service *Service
	stream  stream
	now     int64
	next    uint64 // events before this one can be read
	last    int64  // when all events that were seen can be read
}

// visibility returns the present visibility of a stream. It begins after the
// events that an earlier call found readable, so that not every call has to go
// through all of them.
func (s *Service) visibility(st stream) *visibility {
	v := &visibility{service: s, stream: st, now: s.now(), next: st.Next}
	if s.Delay == nil {
		return v
	}
	s.delayed.Lock()
	defer s.delayed.Unlock()
	v.next = s.readable[st.ID]
	return v
}

// see reports whether GetLogEvents can read an event, and whether
// FilterLogEvents can.
func (v *visibility) see(n uint64, l line) (readable, early bool) {
	if n < v.next {
		return true, true
	}
	own := l.Ingested + v.service.Delay(v.stream.Name, n).Milliseconds()
	if v.last = max(v.last, own); v.last <= v.now {
		v.next = n + 1
		return true, true
	}
	return false, own <= v.now && v.last <= v.now+earliness
}

// keep records which events can be read.
func (v *visibility) keep() {
	if v.service.Delay == nil {
		return
	}
	v.service.delayed.Lock()
	defer v.service.delayed.Unlock()
	v.service.readable[v.stream.ID] = max(v.next, v.service.readable[v.stream.ID])
}

// readableEnd returns the number of the first event that GetLogEvents cannot
// read yet. Later events wait for it.
func (s *Service) readableEnd(st stream) (uint64, error) {
	v := s.visibility(st)
	if v.next == st.Next {
		return st.Next, nil
	}
	err := s.lines.Walk(linePrefix(st.ID), lineKey(st.ID, v.next), func(e store.Entry[line]) bool {
		readable, _ := v.see(number(e.Key), e.Value)
		return readable
	})
	v.keep()
	return v.next, err
}
