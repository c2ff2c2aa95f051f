package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
)

const (
	deployTimeout = 2 * time.Minute
	deployPoll    = 100 * time.Millisecond
)

// Deploy creates a stack from a template, or updates the stack of that name,
// through the CloudFormation service that config points at. It waits until the
// deployment is done, for 2 minutes at most. A stack that is up to date is not
// an error. A stack whose creation or deletion failed is deleted first. A new
// stack takes over the resources that an earlier one retained, as with `cdk
// deploy --import-existing-resources`. The error of a failed deployment names
// the resource that failed, and why.
func Deploy(ctx context.Context, config aws.Config, stack, template string) error {
	client := cloudformation.NewFromConfig(config)
	status, err := statusOf(ctx, client, stack)
	switch {
	case err != nil:
		return err
	case slices.Contains(dead, status):
		if err := remove(ctx, client, stack); err != nil {
			return err
		}
	case !slices.Contains(absent, status):
		return update(ctx, client, stack, template)
	}
	return create(ctx, client, stack, template)
}

// DeployIfAbsent is Deploy for a stack that does not exist or was never
// completely created. It leaves any other stack as it is.
func DeployIfAbsent(ctx context.Context, config aws.Config, stack, template string) error {
	status, err := statusOf(ctx, cloudformation.NewFromConfig(config), stack)
	if err != nil {
		return err
	}
	if slices.Contains(absent, status) || slices.Contains(dead, status) || status == types.StackStatusCreateFailed {
		return Deploy(ctx, config, stack, template)
	}
	return nil
}

var (
	// absent are the statuses of stacks that do not exist: no status, and that
	// of a stack which has only change sets.
	absent = []types.StackStatus{"", types.StackStatusReviewInProgress}
	// dead are the statuses of stacks that can only be deleted.
	dead = []types.StackStatus{types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusDeleteFailed}
)

// statusOf returns the status of a stack, or "" if there is no such stack.
func statusOf(ctx context.Context, client *cloudformation.Client, stack string) (types.StackStatus, error) {
	out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if isValidationError(err, "does not exist") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for stack %s: %w", stack, err)
	}
	return out.Stacks[0].StackStatus, nil
}

// capabilities allow templates with IAM roles, including named ones.
var capabilities = []types.Capability{types.CapabilityCapabilityNamedIam}

// create uses a change set, because only change sets import existing resources.
func create(ctx context.Context, client *cloudformation.Client, stack, template string) error {
	set, err := client.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: &stack, TemplateBody: &template, Capabilities: capabilities,
		ChangeSetName: aws.String("flexbuild-" + uuid.NewString()), ChangeSetType: types.ChangeSetTypeCreate, ImportExistingResources: aws.Bool(true),
	})
	if err == nil {
		_, err = client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id})
	}
	if err != nil {
		return fmt.Errorf("create stack %s: %w", stack, err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(client, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = deployPoll, deployPoll
	})
	err = waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, deployTimeout)
	return explain(ctx, client, stack, "create", err)
}

func remove(ctx context.Context, client *cloudformation.Client, stack string) error {
	if _, err := client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &stack}); err != nil {
		return fmt.Errorf("delete stack %s: %w", stack, err)
	}
	waiter := cloudformation.NewStackDeleteCompleteWaiter(client, func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = deployPoll, deployPoll
	})
	err := waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, deployTimeout)
	return explain(ctx, client, stack, "delete", err)
}

func update(ctx context.Context, client *cloudformation.Client, stack, template string) error {
	_, err := client.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: &stack, TemplateBody: &template, Capabilities: capabilities})
	if isValidationError(err, "No updates are to be performed") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("update stack %s: %w", stack, err)
	}
	waiter := cloudformation.NewStackUpdateCompleteWaiter(client, func(o *cloudformation.StackUpdateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = deployPoll, deployPoll
	})
	err = waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, deployTimeout)
	return explain(ctx, client, stack, "update", err)
}

// explain adds the stack's events to the error of a waiter.
func explain(ctx context.Context, client *cloudformation.Client, stack, verb string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	reason := "its events give no reason"
	events, eventsErr := client.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &stack})
	if eventsErr == nil {
		for _, e := range events.StackEvents { // the newest first: the last that matches is the first failure
			if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") {
				reason = fmt.Sprintf("%s %s", aws.ToString(e.LogicalResourceId), aws.ToString(e.ResourceStatusReason))
			}
		}
	}
	return fmt.Errorf("%s stack %s: %s: %w", verb, stack, reason, err)
}

func isValidationError(err error, words string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), words)
}
