package logs

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// maxFilterStreams is AWS's limit of logStreamNames.
const maxFilterStreams = 100

// FilterLogEvents returns events of a group's streams, merged by time, that contain the filter pattern's words. The next
// token is the id of the last event of a page: ids sort by time, stream and number.
func (s *Service) FilterLogEvents(_ context.Context, in *cwl.FilterLogEventsInput) (*cwl.FilterLogEventsOutput, error) {
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	words, err := filterWords(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	streams, err := s.filterStreams(in)
	if err != nil {
		return nil, err
	}
	within := timeRange(in.StartTime, in.EndTime)
	matches := func(id string, l line) bool {
		return within(l.Time) && id > aws.ToString(in.NextToken) && containsAll(l.Message, words)
	}
	var events []types.FilteredLogEvent
	for _, st := range streams {
		found, err := s.filterStream(st, matches)
		if err != nil {
			return nil, err
		}
		events = append(events, found...)
	}
	slices.SortFunc(events, func(a, b types.FilteredLogEvent) int { return cmp.Compare(*a.EventId, *b.EventId) })
	return filterPage(events, s.shorten(limit), cmp.Or(aws.ToString(in.NextToken), "0")), nil
}

// filterStreams returns the streams that a call names, less those that have nothing in its time range.
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
	streams, err := s.streamsOf(groupName, aws.ToString(in.LogStreamNamePrefix))
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 {
		if streams, err = s.namedStreams(groupName, in.LogStreamNames); err != nil {
			return nil, err
		}
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

func (s *Service) filterStream(st stream, matches func(id string, l line) bool) ([]types.FilteredLogEvent, error) {
	var events []types.FilteredLogEvent
	prefix := linePrefix(st.ID)
	end, err := s.readable(st)
	if err != nil {
		return nil, err
	}
	err = s.lines.Walk(prefix, prefix, func(e store.Entry[line]) bool {
		l := e.Value
		id := fmt.Sprintf("%020d%018d%018d", l.Time, st.ID, number(e.Key))
		if matches(id, l) && (number(e.Key) < end || s.isEarly(st, e)) {
			events = append(events, types.FilteredLogEvent{
				EventId:       aws.String(id),
				IngestionTime: aws.Int64(l.Ingested),
				LogStreamName: aws.String(st.Name),
				Message:       aws.String(l.Message),
				Timestamp:     aws.Int64(l.Time),
			})
		}
		return true
	})
	return events, err
}

// filterPage cuts the sorted events after limit of them, or after a megabyte. An empty page leads back to its own
// token.
func filterPage(events []types.FilteredLogEvent, limit int, token string) *cwl.FilterLogEventsOutput {
	end, bytes := 0, 0
	for end < len(events) && end < limit {
		bytes += len(*events[end].Message)
		if bytes > maxPageBytes && end > 0 {
			break
		}
		end++
	}
	out := &cwl.FilterLogEventsOutput{Events: events[:end], SearchedLogStreams: []types.SearchedLogStream{}}
	if out.Events == nil {
		out.Events = []types.FilteredLogEvent{}
	}
	switch {
	case end == len(events):
	case end == 0:
		out.NextToken = &token
	default:
		out.NextToken = events[end-1].EventId
	}
	return out
}

var filterWord = regexp.MustCompile(`^(?:"([^"]*)"|([A-Za-z0-9_]+))(?:\s+|$)`)

// filterWords reads a filter pattern of plain words and quoted phrases, all of which an event must contain. The rest of
// AWS's pattern language is refused.
func filterWords(pattern string) ([]string, error) {
	var words []string
	for rest := strings.TrimSpace(pattern); rest != ""; {
		m := filterWord.FindStringSubmatch(rest)
		if m == nil {
			return nil, invalid("the local engine does not implement the filter pattern %q: it takes words and \"quoted phrases\"", pattern)
		}
		words = append(words, m[1]+m[2])
		rest = rest[len(m[0]):]
	}
	return words, nil
}

func containsAll(message string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(message, w) })
}
