package logs

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// AWS's limits for one call of PutLogEvents.
const (
	maxBatchEvents = 10_000
	maxBatchBytes  = 1 << 20 // messages in UTF-8, plus eventOverhead for each
	eventOverhead  = 26
	maxAge         = 14 * 24 * time.Hour
	maxAhead       = 2 * time.Hour
)

// CreateLogGroup makes a group that keeps its events for ever. It fails when
// there is one of that name.
func (s *Service) CreateLogGroup(_ context.Context, in *cwl.CreateLogGroupInput) (*cwl.CreateLogGroupOutput, error) {
	switch {
	case in.KmsKeyId != nil:
		return nil, unsupported("kmsKeyId")
	case in.LogGroupClass != "" && in.LogGroupClass != types.LogGroupClassStandard:
		return nil, unsupported("logGroupClass " + string(in.LogGroupClass))
	case aws.ToBool(in.DeletionProtectionEnabled):
		return nil, unsupported("deletionProtectionEnabled")
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	name := aws.ToString(in.LogGroupName)
	_, err = s.groups.Update(name, func(g group, found bool) (group, error) {
		if found {
			return g, resourceAlreadyExists("The specified log group already exists")
		}
		return group{Name: name, Created: s.now(), Tags: tags}, nil
	})
	return &cwl.CreateLogGroupOutput{}, err
}

// CreateLogStream makes an empty stream in a group. It fails when there is one
// of that name.
func (s *Service) CreateLogStream(_ context.Context, in *cwl.CreateLogStreamInput) (*cwl.CreateLogStreamOutput, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	groupName, streamName := aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	if err := s.requireGroup(groupName); err != nil {
		return nil, err
	}
	created, err := s.createStream(groupName, streamName)
	if err == nil && !created {
		err = resourceAlreadyExists("The specified log stream already exists")
	}
	return &cwl.CreateLogStreamOutput{}, err
}

// PutLogEvents writes a batch to a stream. Events of more than 14 days ago or 2
// hours ahead are left out, and the answer says which.
func (s *Service) PutLogEvents(_ context.Context, in *cwl.PutLogEventsInput) (*cwl.PutLogEventsOutput, error) {
	if in.Entity != nil {
		return nil, unsupported("entity")
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	groupName, streamName := aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	st, err := s.requireStream(groupName, streamName)
	if err != nil {
		return nil, err
	}
	lines, rejected := s.acceptable(in.LogEvents)
	if len(lines) > 0 {
		err = s.write(groupName, streamName, lines)
	}
	token := strconv.FormatUint(st.Next+uint64(len(lines)), 10)
	return &cwl.PutLogEventsOutput{NextSequenceToken: &token, RejectedLogEventsInfo: rejected}, err
}

func checkBatch(events []types.InputLogEvent) error {
	if len(events) == 0 || len(events) > maxBatchEvents {
		return invalid("a batch has %d log events, which must be between 1 and %d", len(events), maxBatchEvents)
	}
	size, last := 0, int64(0)
	for i, e := range events {
		if aws.ToString(e.Message) == "" || e.Timestamp == nil {
			return invalid("log event %d needs a message and a timestamp", i)
		}
		if *e.Timestamp < last {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		last = *e.Timestamp
		size += len(*e.Message) + eventOverhead
	}
	if size > maxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	return nil
}

// acceptable splits off the events that are too old or too new; events are in
// order of time.
func (s *Service) acceptable(events []types.InputLogEvent) ([]line, *types.RejectedLogEventsInfo) {
	oldest, newest := s.Clock.Now().Add(-maxAge).UnixMilli(), s.Clock.Now().Add(maxAhead).UnixMilli()
	var lines []line
	var rejected types.RejectedLogEventsInfo
	for i, e := range events {
		switch {
		case *e.Timestamp < oldest:
			rejected.TooOldLogEventEndIndex = aws.Int32(int32(i) + 1)
		case *e.Timestamp > newest:
			if rejected.TooNewLogEventStartIndex == nil {
				rejected.TooNewLogEventStartIndex = aws.Int32(int32(i))
			}
		default:
			lines = append(lines, line{Time: *e.Timestamp, Message: *e.Message})
		}
	}
	if len(lines) == len(events) {
		return lines, nil
	}
	return lines, &rejected
}
