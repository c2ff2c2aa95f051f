package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Between two looks there are pauses that grow: CloudFormation takes minutes on
// AWS, and less than a second in the local engine.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 4 * time.Second
)

func longer(pause time.Duration) time.Duration { return min(pause*3/2, longestPause) }

// good are the statuses in which work on a stack ends well.
var good = []types.StackStatus{
	types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusImportComplete, types.StackStatusDeleteComplete,
}

// followToEnd waits until CloudFormation has finished working on a stack. It
// reports the events of the resources. If the work failed, the error has the
// reasons of the resources that failed.
func (r *run) followToEnd(ctx context.Context, id string) (*types.Stack, error) {
	stack, failures, err := r.follow(ctx, id)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), ErrGoesOn)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrGoesOn, err)
	case slices.Contains(good, stack.StackStatus):
		return stack, nil
	}
	if len(failures) == 0 {
		failures = []string{aws.ToString(stack.StackStatusReason)}
	}
	return nil, fmt.Errorf("%w, and the stack is %s now: %s", ErrFailed, stack.StackStatus, strings.Join(failures, "; "))
}

// follow polls until the stack's newest event and its description have the same
// final status. Each of them alone may still be the one from before the
// deployment.
func (r *run) follow(ctx context.Context, id string) (*types.Stack, []string, error) {
	var failures []string
	var status types.StackStatus
	for wait := firstPause; ; wait = longer(wait) {
		events, err := r.newEvents(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		failures = append(failures, r.reportEvents(events)...)
		for _, event := range events {
			if isOwn(event) {
				status = types.StackStatus(event.ResourceStatus)
			}
		}
		if status != "" && !isBusy(status) {
			stack, err := r.find(ctx, id, patiently)
			if err != nil || stack != nil && stack.StackStatus == status {
				return stack, failures, err
			}
		}
		if err := pause(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
}

// markEvents makes newEvents begin after those that there are.
func (r *run) markEvents(ctx context.Context, id string) error {
	_, err := r.newEvents(ctx, id)
	return err
}

// newEvents returns the events that are not known yet, the oldest first, back
// to where the work on the stack began.
func (r *run) newEvents(ctx context.Context, id string) (events []types.StackEvent, err error) {
	pages := cloudformation.NewDescribeStackEventsPaginator(r.client, &cloudformation.DescribeStackEventsInput{StackName: &id})
	for began := false; !began && pages.HasMorePages(); {
		page, err := pages.NextPage(ctx, patiently)
		if err != nil {
			return nil, fmt.Errorf("read the stack's events: %w", err)
		}
		for _, event := range page.StackEvents {
			if !began && !r.known[*event.EventId] {
				events = append(events, event)
			}
			began = began || isOwn(event) && strings.HasPrefix(aws.ToString(event.ResourceStatusReason), "User Initiated")
		}
	}
	for _, event := range events {
		r.known[*event.EventId] = true
	}
	slices.Reverse(events)
	return events, nil
}

// isOwn reports whether an event is about the stack itself.
func isOwn(event types.StackEvent) bool {
	return aws.ToString(event.PhysicalResourceId) == aws.ToString(event.StackId)
}

// reportEvents reports what happened to resources, and returns what failed.
func (r *run) reportEvents(events []types.StackEvent) (failures []string) {
	for _, event := range events {
		resource := aws.ToString(event.ResourceType) + " " + aws.ToString(event.LogicalResourceId)
		reason := aws.ToString(event.ResourceStatusReason)
		if reason == "Resource creation Initiated" {
			continue // an event said already that it begins
		}
		line := string(event.ResourceStatus) + " " + resource
		if reason != "" {
			line += ": " + reason
		}
		r.report("%s", line)
		if isCause(event) {
			failures = append(failures, resource+": "+reason)
		}
	}
	return failures
}

// isCause reports whether a resource failed for a reason of its own.
// CloudFormation then cancels the resources that it is working on, and fails
// the stack.
func isCause(event types.StackEvent) bool {
	return strings.HasSuffix(string(event.ResourceStatus), "_FAILED") && !isOwn(event) &&
		!strings.Contains(aws.ToString(event.ResourceStatusReason), "cancelled")
}
