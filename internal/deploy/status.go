package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// dead are the statuses of stacks that can only be deleted.
var dead = []types.StackStatus{types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusDeleteFailed}

// isBusy reports whether CloudFormation is working on a stack. A stack that has
// nothing but change sets waits for whoever made them.
func isBusy(status types.StackStatus) bool {
	return strings.HasSuffix(string(status), "_IN_PROGRESS") && status != types.StackStatusReviewInProgress
}

// find returns the stack with a name or an id, nil if there is none.
func (r *run) find(ctx context.Context, nameOrID string, options ...func(*cloudformation.Options)) (*types.Stack, error) {
	out, err := r.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &nameOrID}, options...)
	switch {
	case isValidation(err, "does not exist"):
		return nil, nil
	case isValidation(err, ""):
		return nil, invalid("%s", refusal(err)) // of the name
	case err != nil:
		return nil, fmt.Errorf("look for the stack: %w", err)
	}
	return &out.Stacks[0], nil
}

// settledStack returns the stack once CloudFormation has finished working on
// it, nil if there is none yet. A stack that cannot be updated is deleted if
// Recreate is set; otherwise the error says what to do.
func (r *run) settledStack(ctx context.Context) (*types.Stack, error) {
	stack, err := r.find(ctx, r.Stack)
	if err != nil || stack == nil {
		r.isNew = err == nil
		return nil, err
	}
	if isBusy(stack.StackStatus) {
		r.report("the stack is %s: waiting until that is done", stack.StackStatus)
		if stack, err = r.followToEnd(ctx, *stack.StackId); err != nil {
			return nil, err
		}
	}
	switch {
	case slices.Contains([]types.StackStatus{types.StackStatusReviewInProgress, types.StackStatusDeleteComplete}, stack.StackStatus):
		return nil, nil
	case slices.Contains(dead, stack.StackStatus) && r.Recreate:
		return nil, r.remove(ctx, *stack.StackId)
	case slices.Contains(dead, stack.StackStatus):
		return nil, invalid("it is %s, so that it can only be deleted: do that in CloudFormation's console, or with \"aws cloudformation delete-stack --stack-name %s\", and deploy again", stack.StackStatus, r.Stack)
	case stack.StackStatus == types.StackStatusUpdateRollbackFailed:
		return nil, invalid("it is %s: its events say what could not be rolled back; repair that, continue the rollback in CloudFormation's console, or with \"aws cloudformation continue-update-rollback --stack-name %s\", and deploy again", stack.StackStatus, r.Stack)
	}
	return stack, nil
}

// remove deletes a dead stack.
func (r *run) remove(ctx context.Context, id string) error {
	r.report("deleting the stack, which an earlier deployment left unusable")
	if err := r.markEvents(ctx, id); err != nil {
		return err
	}
	if _, err := r.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &id, ClientRequestToken: &r.token}); err != nil {
		return fmt.Errorf("delete it: %w", err)
	}
	_, err := r.followToEnd(ctx, id)
	return err
}
