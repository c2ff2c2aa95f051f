package logs

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TargetPrefix is CloudWatch Logs' in AWS JSON.
const TargetPrefix = "Logs_20140328"

// An Event is one log line as its writer gives it. CodeBuild's messages end in
// "\n".
type Event struct {
	Time    time.Time
	Message string
}

type group struct {
	Name          string
	Created       int64 // this and all other times are in milliseconds since 1970, as in the API
	RetentionDays int32 // 0 for ever
	Tags          map[string]string
}

type stream struct {
	ID            uint64
	Name          string
	Created       int64
	Next          uint64 // the number of the next event
	FirstEvent    int64
	LastEvent     int64
	LastIngestion int64
	Unordered     bool // the times of its events go back somewhere
}

// A line is an event as it is kept.
type line struct {
	Time     int64  `json:"t"`
	Ingested int64  `json:"i"`
	Message  string `json:"m"`
}

// Options are the settings of a Service. Store, Clock and Region are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string

	// Delay returns for how long an event cannot be read after it was written;
	// nil for no time. See local.Options.
	Delay func(stream string, event uint64) time.Duration

	// Page returns how many events a page has at most; nil for AWS's limit. See
	// local.Options.
	Page func() int
}

// A Service keeps logs. It is safe for concurrent use.
type Service struct {
	Options
	groups  *store.Table[group]
	streams *store.Table[stream] // by streamKey
	lines   *store.Table[line]   // by lineKey

	delayed  sync.Mutex
	readable map[uint64]uint64 // by stream: all events before this one can be read; only with a Delay

	writing sync.RWMutex // held over reserving numbers and writing events, so that readers see all events before a place
}

// New returns the service whose state is in options.Store.
func New(options Options) (*Service, error) {
	s := &Service{Options: options, readable: map[uint64]uint64{}}
	if err := errors.Join(
		store.OpenTable(s.Store, "logs.groups", &s.groups),
		store.OpenTable(s.Store, "logs.streams", &s.streams),
		store.OpenTable(s.Store, "logs.lines", &s.lines),
	); err != nil {
		return nil, err
	}
	return s, s.applyRetention()
}

func streamKey(group, stream string) string { return group + "\x00" + stream }

// lineKey orders the events of a stream by number: fixed width, so that text
// order is number order.
func lineKey(stream, number uint64) string { return linePrefix(stream) + fmt.Sprintf("%016x", number) }

func linePrefix(stream uint64) string { return fmt.Sprintf("%016x.", stream) }

// The forms of names, from AWS's API model. No ARN of a stream reads like that
// of another, and no key of one group's streams begins like another's.
var (
	groupForm  = lazyregexp.New(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamForm = lazyregexp.New(`^[^:*\x00]{1,512}$`)
)

// PutLogGroup creates a log group, or changes the retention of the one of that
// name. 0 days keeps events for ever.
func (s *Service) PutLogGroup(name string, retentionDays int32) error {
	if !groupForm().MatchString(name) {
		return constraint("logGroupName", name, groupForm())
	}
	_, err := s.groups.Update(name, func(g group, found bool) (group, error) {
		if !found {
			g = group{Name: name, Created: s.now()}
		}
		g.RetentionDays = retentionDays
		return g, nil
	})
	return err
}

// RemoveLogGroup removes a log group with its streams and events; a group that
// is not there is no error.
func (s *Service) RemoveLogGroup(name string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	streams, err := s.streams.List(streamKey(name, ""))
	if err != nil {
		return err
	}
	for _, e := range streams {
		if err := s.deleteStream(e); err != nil {
			return err
		}
	}
	return s.groups.Delete(name)
}

func (s *Service) deleteStream(e store.Entry[stream]) error {
	if err := s.lines.DeletePrefix(linePrefix(e.Value.ID)); err != nil {
		return err
	}
	return s.streams.Delete(e.Key)
}

func (s *Service) applyRetention() error {
	groups, err := s.groups.List("")
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Value.RetentionDays == 0 {
			continue
		}
		oldest := s.Clock.Now().AddDate(0, 0, -int(g.Value.RetentionDays)).UnixMilli()
		if err := s.deleteStreamsBefore(g.Key, oldest); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) deleteStreamsBefore(group string, oldest int64) error {
	streams, err := s.streams.List(streamKey(group, ""))
	if err != nil {
		return err
	}
	for _, e := range streams {
		if max(e.Value.LastEvent, e.Value.Created) >= oldest {
			continue
		}
		if err := s.deleteStream(e); err != nil {
			return err
		}
	}
	return nil
}

// Append writes events at the end of a stream, which is created when it is not
// there. A missing group is a ResourceNotFoundException.
func (s *Service) Append(groupName, streamName string, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.requireGroup(groupName); err != nil {
		return err
	}
	if _, err := s.createStream(groupName, streamName); err != nil {
		return err
	}
	lines := make([]line, len(events))
	for i, e := range events {
		lines[i] = line{Time: e.Time.UnixMilli(), Message: e.Message}
	}
	return s.write(groupName, streamName, lines)
}

// createStream makes the stream when it is not there, and reports whether it
// did. The caller holds s.writing.
func (s *Service) createStream(groupName, streamName string) (created bool, err error) {
	if !streamForm().MatchString(streamName) {
		return false, constraint("logStreamName", streamName, streamForm())
	}
	key := streamKey(groupName, streamName)
	if _, found, err := s.streams.Get(key); err != nil || found {
		return false, err
	}
	id, err := s.streams.NextSequence()
	if err != nil {
		return false, err
	}
	return true, s.streams.Put(key, stream{ID: id, Name: streamName, Created: s.now()})
}

// write gives lines their numbers and keeps them. The caller holds s.writing.
func (s *Service) write(groupName, streamName string, lines []line) error {
	now := s.now()
	var first uint64
	st, err := s.streams.Update(streamKey(groupName, streamName), func(st stream, _ bool) (stream, error) {
		first = st.Next
		for _, l := range lines {
			if st.FirstEvent == 0 || l.Time < st.FirstEvent {
				st.FirstEvent = l.Time
			}
			st.Unordered = st.Unordered || l.Time < st.LastEvent
			st.LastEvent = max(st.LastEvent, l.Time)
		}
		st.Next += uint64(len(lines))
		st.LastIngestion = now
		return st, nil
	})
	if err != nil {
		return err
	}
	entries := make([]store.Entry[line], len(lines))
	for i, l := range lines {
		l.Ingested = now
		entries[i] = store.Entry[line]{Key: lineKey(st.ID, first+uint64(i)), Value: l}
	}
	return s.lines.PutAll(entries)
}

func (s *Service) now() int64 { return s.Clock.Now().UnixMilli() }

func (s *Service) requireGroup(name string) error {
	_, found, err := s.groups.Get(name)
	if err == nil && !found {
		err = noSuchGroup()
	}
	return err
}

func (s *Service) requireStream(groupName, streamName string) (stream, error) {
	if err := s.requireGroup(groupName); err != nil {
		return stream{}, err
	}
	st, found, err := s.streams.Get(streamKey(groupName, streamName))
	if err == nil && !found {
		err = resourceNotFound("The specified log stream does not exist.")
	}
	return st, err
}

// GroupARN is the ARN of a log group, without the ":*" that DescribeLogGroups
// puts behind it.
func GroupARN(region, name string) string {
	return "arn:aws:logs:" + region + ":" + iam.AccountID + ":log-group:" + name
}

func streamARN(region, group, stream string) string {
	return GroupARN(region, group) + ":log-stream:" + stream
}
