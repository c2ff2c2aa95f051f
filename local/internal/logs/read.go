package logs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// AWS's limits for one page of events.
const (
	maxPageEvents = 10_000
	maxPageBytes  = 1 << 20
)

// A position is a place between two events of a stream: before the event of
// that number. Its token says in which direction to go on from there:
// "f/0000…12/s" or "b/0000…12/s". Each position has a second token, which ends
// in "t", for an empty page that is not the last one.
type position struct {
	number   uint64
	backward bool
	second   bool
}

func (p position) token() *string {
	direction, end := "f", "s"
	if p.backward {
		direction = "b"
	}
	if p.second {
		end = "t"
	}
	return aws.String(fmt.Sprintf("%s/%056d/%s", direction, p.number, end))
}

func parsePosition(token string) (position, error) {
	parts := strings.Split(token, "/")
	if len(parts) != 3 || (parts[0] != "f" && parts[0] != "b") || (parts[2] != "s" && parts[2] != "t") {
		return position{}, invalid("The specified nextToken is invalid.")
	}
	number, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return position{}, invalid("The specified nextToken is invalid.")
	}
	return position{number: number, backward: parts[0] == "b", second: parts[2] == "t"}, nil
}

// GetLogEvents returns a page of one stream: the earliest events with
// startFromHead, else the latest, or those next to the token's place. At the
// end of the stream the token of that direction comes back as it was given. An
// empty page is not the end: events that the time range leaves out still move
// the token.
func (s *Service) GetLogEvents(_ context.Context, in *cwl.GetLogEventsInput) (*cwl.GetLogEventsOutput, error) {
	groupName, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	s.writing.RLock()
	defer s.writing.RUnlock()
	st, err := s.requireStream(groupName, aws.ToString(in.LogStreamName))
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	end, err := s.readableEnd(st)
	if err != nil {
		return nil, err
	}
	from, err := start(in, end)
	if err != nil {
		return nil, err
	}
	limit = s.shorten(limit)
	p := &page{limit: limit, within: timeRange(in.StartTime, in.EndTime), low: from.number, high: from.number, end: end}
	if limit == 0 {
		return emptyPage(from), nil
	}
	if from.backward {
		err = s.lines.WalkBack(linePrefix(st.ID), lineKey(st.ID, from.number), p.takeBackward)
		slices.Reverse(p.events)
	} else {
		err = s.lines.Walk(linePrefix(st.ID), lineKey(st.ID, from.number), p.takeForward)
	}
	return &cwl.GetLogEventsOutput{
		Events:            p.outputEvents(),
		NextBackwardToken: from.moved(p.low, true).token(),
		NextForwardToken:  from.moved(p.high, false).token(),
	}, err
}

// moved returns the position of the token that goes on in a direction. Where
// there is nothing more, it is the same token.
func (p position) moved(number uint64, backward bool) position {
	same := p.number == number && p.backward == backward
	return position{number: number, backward: backward, second: same && p.second}
}

// emptyPage answers without an event. Its token differs from the one that was
// given, because this is not the end.
func emptyPage(from position) *cwl.GetLogEventsOutput {
	forward, backward := from, from
	forward.backward, backward.backward = false, true
	forward.second = forward == from && !from.second
	backward.second = backward == from && !from.second
	return &cwl.GetLogEventsOutput{NextForwardToken: forward.token(), NextBackwardToken: backward.token()}
}

// start returns where a call begins to read.
func start(in *cwl.GetLogEventsInput, end uint64) (position, error) {
	switch {
	case in.NextToken != nil:
		return parsePosition(*in.NextToken)
	case aws.ToBool(in.StartFromHead):
		return position{}, nil
	}
	return position{number: end, backward: true}, nil
}

func (s *Service) shorten(limit int) int {
	if s.Page == nil {
		return limit
	}
	return min(limit, s.Page())
}

func pageLimit(limit *int32) (int, error) {
	if limit == nil {
		return maxPageEvents, nil
	}
	if *limit < 1 || *limit > maxPageEvents {
		return 0, invalid("limit is %d, which must be between 1 and %d", *limit, maxPageEvents)
	}
	return int(*limit), nil
}

// timeRange returns the test for startTime ≤ t < endTime, where either may be
// missing.
func timeRange(start, end *int64) func(t int64) bool {
	return func(t int64) bool { return (start == nil || t >= *start) && (end == nil || t < *end) }
}

// A page collects events until it is full, and remembers the places at both of
// its ends.
type page struct {
	limit  int
	within func(t int64) bool

	events    []line
	bytes     int
	end       uint64 // the number of the first event that is not to be read
	low, high uint64 // the numbers of the first event seen, and of the one after the last
}

func (p *page) takeForward(e store.Entry[line]) bool {
	taken := number(e.Key) < p.end && p.take(e.Value)
	if taken {
		p.high = number(e.Key) + 1
	}
	return taken
}

func (p *page) takeBackward(e store.Entry[line]) bool {
	taken := p.take(e.Value)
	if taken {
		p.low = number(e.Key)
	}
	return taken
}

// take adds a line if it is within the range, and reports false when there is
// no room for it.
func (p *page) take(l line) bool {
	if !p.within(l.Time) {
		return true
	}
	if len(p.events) == p.limit || (p.bytes+len(l.Message) > maxPageBytes && len(p.events) > 0) {
		return false
	}
	p.events = append(p.events, l)
	p.bytes += len(l.Message)
	return true
}

func (p *page) outputEvents() []types.OutputLogEvent {
	events := make([]types.OutputLogEvent, len(p.events))
	for i, l := range p.events {
		events[i] = types.OutputLogEvent{Timestamp: aws.Int64(l.Time), IngestionTime: aws.Int64(l.Ingested), Message: aws.String(l.Message)}
	}
	return events
}

// number reads an event's number off its key.
func number(key string) uint64 {
	_, hex, _ := strings.Cut(key, ".")
	n, _ := strconv.ParseUint(hex, 16, 64) // lineKey wrote it
	return n
}
