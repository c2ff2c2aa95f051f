package logs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/codebuild-flex/flexbuild/local/internal/paging"
)

// maxDescribed is AWS's limit, and its default, for the Describe operations.
const maxDescribed = 50

// DescribeLogGroups lists the log groups by name, filtered by a prefix or by a
// part of the name.
func (s *Service) DescribeLogGroups(_ context.Context, in *cwl.DescribeLogGroupsInput) (*cwl.DescribeLogGroupsOutput, error) {
	switch {
	case len(in.AccountIdentifiers) > 0:
		return nil, unsupported("accountIdentifiers")
	case len(in.LogGroupIdentifiers) > 0:
		return nil, unsupported("logGroupIdentifiers")
	case in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil:
		return nil, invalid("give logGroupNamePrefix or logGroupNamePattern, not both")
	}
	groups, err := s.groups.List(aws.ToString(in.LogGroupNamePrefix))
	if err != nil {
		return nil, err
	}
	var found []types.LogGroup
	for _, g := range groups {
		if strings.Contains(strings.ToLower(g.Key), strings.ToLower(aws.ToString(in.LogGroupNamePattern))) {
			found = append(found, s.describeGroup(g.Value))
		}
	}
	page, next, err := pageOf(found, func(g types.LogGroup) string { return *g.LogGroupName }, in.NextToken, in.Limit)
	return &cwl.DescribeLogGroupsOutput{LogGroups: page, NextToken: next}, err
}

func (s *Service) describeGroup(g group) types.LogGroup {
	described := types.LogGroup{
		Arn:               aws.String(GroupARN(s.Region, g.Name) + ":*"),
		CreationTime:      aws.Int64(g.Created),
		LogGroupArn:       aws.String(GroupARN(s.Region, g.Name)),
		LogGroupClass:     types.LogGroupClassStandard,
		LogGroupName:      aws.String(g.Name),
		MetricFilterCount: aws.Int32(0),
		StoredBytes:       aws.Int64(0),
	}
	if g.RetentionDays > 0 {
		described.RetentionInDays = aws.Int32(g.RetentionDays)
	}
	return described
}

// DescribeLogStreams lists a group's streams, by name or by the time of their
// last event.
func (s *Service) DescribeLogStreams(_ context.Context, in *cwl.DescribeLogStreamsInput) (*cwl.DescribeLogStreamsOutput, error) {
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == types.OrderByLastEventTime
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	found, err := s.streamsOf(name, aws.ToString(in.LogStreamNamePrefix))
	if err != nil {
		return nil, err
	}
	if byTime {
		slices.SortStableFunc(found, func(a, b stream) int { return cmp.Compare(a.LastEvent, b.LastEvent) })
	}
	if aws.ToBool(in.Descending) {
		slices.Reverse(found)
	}
	page, next, err := pageOf(found, func(st stream) string { return st.Name }, in.NextToken, in.Limit)
	out := &cwl.DescribeLogStreamsOutput{NextToken: next}
	for _, st := range page {
		out.LogStreams = append(out.LogStreams, s.describeStream(name, st))
	}
	return out, err
}

func (s *Service) describeStream(group string, st stream) types.LogStream {
	described := types.LogStream{
		Arn:           aws.String(streamARN(s.Region, group, st.Name)),
		CreationTime:  aws.Int64(st.Created),
		LogStreamName: aws.String(st.Name),
		//lint:ignore SA1019 deprecated, but AWS still sends it
		StoredBytes:         aws.Int64(0),
		UploadSequenceToken: aws.String(strconv.FormatUint(st.Next, 10)),
	}
	if st.Next > 0 {
		described.FirstEventTimestamp = aws.Int64(st.FirstEvent)
		described.LastEventTimestamp = aws.Int64(st.LastEvent)
		described.LastIngestionTime = aws.Int64(st.LastIngestion)
	}
	return described
}

// streamsOf returns the streams of a group that must exist, by name.
func (s *Service) streamsOf(group, prefix string) ([]stream, error) {
	if err := s.requireGroup(group); err != nil {
		return nil, err
	}
	entries, err := s.streams.List(streamKey(group, prefix))
	streams := make([]stream, len(entries))
	for i, e := range entries {
		streams[i] = e.Value
	}
	return streams, err
}

// groupName reads the two ways to name a group: by name, or by name or ARN as
// an identifier.
func (s *Service) groupName(name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("give logGroupName or logGroupIdentifier, not both")
	case name != nil:
		return *name, nil
	case identifier != nil:
		id := strings.TrimPrefix(*identifier, GroupARN(s.Region, ""))
		return strings.TrimSuffix(id, ":*"), nil
	}
	return "", invalid("logGroupName is required")
}

// pageOf returns a page of items, as paging.Page does.
func pageOf[T any](items []T, key func(T) string, token *string, limit *int32) ([]T, *string, error) {
	size := int(aws.ToInt32(cmp.Or(limit, aws.Int32(maxDescribed))))
	if size < 1 || size > maxDescribed {
		return nil, nil, invalid("limit is %d, which must be between 1 and %d", size, maxDescribed)
	}
	page, next, err := paging.Page(items, key, token, size)
	if errors.Is(err, paging.ErrToken) {
		err = invalid("The specified nextToken is invalid.")
	}
	return page, next, err
}

func unsupported(field string) error {
	return invalid("the local engine does not implement %s", field)
}
