package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
)

// stackType is the resource type under which a stack's own events go.
const stackType = "AWS::CloudFormation::Stack"

// now returns the time as CloudFormation reports it, in milliseconds.
func (s *Service) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Millisecond) }

// setStatus changes a stack's status, and adds an event for it.
func (s *Service) setStatus(stack *stackRecord, status types.StackStatus, reason string) error {
	stack.Status, stack.Reason = status, reason
	return s.event(stack, resourceRecord{
		LogicalID:  stack.Name,
		Type:       stackType,
		PhysicalID: stack.ID,
		Status:     types.ResourceStatus(status),
		Reason:     reason,
	})
}

// event appends an event about a resource, or about the stack itself, and saves
// the stack. Events of a stack have distinct times, because readers sort by
// them.
func (s *Service) event(stack *stackRecord, r resourceRecord) error {
	at := s.now()
	if !at.After(stack.LastEvent) {
		at = stack.LastEvent.Add(time.Millisecond)
	}
	stack.LastEvent = at
	stack.Events++
	event := types.StackEvent{
		StackId:              &stack.ID,
		StackName:            &stack.Name,
		EventId:              aws.String(uuid.NewString()),
		Timestamp:            &at,
		LogicalResourceId:    &r.LogicalID,
		PhysicalResourceId:   &r.PhysicalID,
		ResourceType:         &r.Type,
		ResourceStatus:       r.Status,
		ResourceStatusReason: optional(r.Reason),
		ClientRequestToken:   optional(stack.Token),
		OperationId:          optional(stack.Operation),
	}
	if len(r.Properties) > 0 {
		properties, _ := json.Marshal(r.Properties)
		event.ResourceProperties = aws.String(string(properties))
	}
	if err := s.events.Put(fmt.Sprintf("%s/%09d", stack.key(), stack.Events), event); err != nil {
		return fmt.Errorf("record an event of stack %s: %w", stack.Name, err)
	}
	return s.save(stack)
}

// optional is nil for "", as the SDK has fields that are not set.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// DescribeStackEvents returns a stack's events, the newest first, 100 a page.
func (s *Service) DescribeStackEvents(_ context.Context, in *cfn.DescribeStackEventsInput) (*cfn.DescribeStackEventsOutput, error) {
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	events, err := s.newestFirst(stack)
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(events, func(e types.StackEvent) string { return *e.EventId }, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &cfn.DescribeStackEventsOutput{StackEvents: page, NextToken: next}, nil
}

func (s *Service) newestFirst(stack *stackRecord) ([]types.StackEvent, error) {
	entries, err := s.events.List(stack.key() + "/")
	if err != nil {
		return nil, err
	}
	events := make([]types.StackEvent, len(entries))
	for i, entry := range entries {
		events[len(entries)-1-i] = entry.Value
	}
	return events, nil
}

// DescribeEvents returns the events of a stack's operations, the newest first.
// A change set has none: whatever is wrong with it is said by CreateChangeSet.
func (s *Service) DescribeEvents(_ context.Context, in *cfn.DescribeEventsInput) (*cfn.DescribeEventsOutput, error) {
	if in.ChangeSetName != nil {
		_, err := s.findChangeSet(aws.ToString(in.StackName), *in.ChangeSetName)
		return &cfn.DescribeEventsOutput{OperationEvents: []types.OperationEvent{}}, err
	}
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	events, err := s.newestFirst(stack)
	if err != nil {
		return nil, err
	}
	failedOnly := in.Filters != nil && aws.ToBool(in.Filters.FailedEvents)
	events = slices.DeleteFunc(events, func(e types.StackEvent) bool {
		otherOperation := in.OperationId != nil && aws.ToString(e.OperationId) != *in.OperationId
		return otherOperation || failedOnly && !isFailure(e.ResourceStatus)
	})
	page, next, err := pageOf(events, func(e types.StackEvent) string { return *e.EventId }, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeEventsOutput{OperationEvents: []types.OperationEvent{}, NextToken: next}
	for _, e := range page {
		out.OperationEvents = append(out.OperationEvents, operationEvent(e))
	}
	return out, nil
}

func isFailure(status types.ResourceStatus) bool {
	const suffix = "_FAILED"
	return len(status) > len(suffix) && status[len(status)-len(suffix):] == suffix
}

func operationEvent(e types.StackEvent) types.OperationEvent {
	return types.OperationEvent{
		EventId:              e.EventId,
		EventType:            types.EventTypeStackEvent,
		StackId:              e.StackId,
		OperationId:          e.OperationId,
		ClientRequestToken:   e.ClientRequestToken,
		Timestamp:            e.Timestamp,
		LogicalResourceId:    e.LogicalResourceId,
		PhysicalResourceId:   e.PhysicalResourceId,
		ResourceType:         e.ResourceType,
		ResourceStatus:       e.ResourceStatus,
		ResourceStatusReason: e.ResourceStatusReason,
		ResourceProperties:   e.ResourceProperties,
	}
}
