package logs

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// maxFilterStreams is AWS's limit of logStreamNames.
const maxFilterStreams = 100

// FilterLogEvents returns events of a group's streams, merged by time, that
// pass the filter pattern. The next token is the id of the last event of a
// page: ids sort by time, stream and number. As on AWS, a full page has a token
// even if no event follows it. A call costs as much as what it returns, however
// long the streams are.
func (s *Service) FilterLogEvents(_ context.Context, in *cwl.FilterLogEventsInput) (*cwl.FilterLogEventsOutput, error) {
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	passes, err := parsePattern(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil && !tokenForm().MatchString(*in.NextToken) {
		return nil, invalid("The specified nextToken is invalid.")
	}
	s.writing.RLock()
	defer s.writing.RUnlock()
	streams, err := s.filterStreams(in)
	if err != nil {
		return nil, err
	}
	q := query{
		passes: passes, token: aws.ToString(in.NextToken), limit: s.shorten(limit),
		start: max(aws.ToInt64(in.StartTime), timeOfID(aws.ToString(in.NextToken))), end: in.EndTime,
	}
	m := merge{}
	for _, st := range streams {
		if err := m.add(s.newFilterReader(st, q)); err != nil {
			return nil, err
		}
	}
	return m.page(q)
}

// tokenForm is that of an event's id, and of the token of an empty first page.
var tokenForm = lazyregexp.New(`^(0|[0-9]{56})$`)

// A query is what FilterLogEvents looks for in each stream.
type query struct {
	passes pattern
	token  string // events up to this id were returned before
	start  int64
	end    *int64
	limit  int
}

func (q query) isPast(l line) bool { return q.end != nil && l.Time >= *q.end }

func (q query) matches(id string, l line) bool {
	return l.Time >= q.start && !q.isPast(l) && id > q.token && q.passes(l.Message)
}

// filterStreams returns the streams that a call names, less those that have
// nothing in its time range.
func (s *Service) filterStreams(in *cwl.FilterLogEventsInput) ([]stream, error) {
	groupName, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("give logStreamNames or logStreamNamePrefix, not both")
	}
	if len(in.LogStreamNames) > maxFilterStreams {
		return nil, invalid("%d logStreamNames are given, and at most %d are allowed", len(in.LogStreamNames), maxFilterStreams)
	}
	var streams []stream
	if len(in.LogStreamNames) > 0 {
		streams, err = s.namedStreams(groupName, in.LogStreamNames)
	} else {
		streams, err = s.streamsOf(groupName, aws.ToString(in.LogStreamNamePrefix))
	}
	if err != nil {
		return nil, err
	}
	outside := func(st stream) bool {
		return (in.StartTime != nil && st.LastEvent < *in.StartTime) || (in.EndTime != nil && st.FirstEvent >= *in.EndTime)
	}
	return slices.DeleteFunc(streams, outside), nil
}

func (s *Service) namedStreams(groupName string, names []string) ([]stream, error) {
	var streams []stream
	for _, name := range names {
		st, err := s.requireStream(groupName, name)
		if err != nil {
			return nil, err
		}
		streams = append(streams, st)
	}
	return streams, nil
}
