package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
)

const (
	deployTimeout = 2 * time.Minute
	deployPoll    = 100 * time.Millisecond
)

// Deploy creates the stack from a template, or updates the one of that name, through the CloudFormation that config
// points at, and waits until it is done, for 2 minutes at most. A stack that is up to date is no error. The error of a
// deployment that failed says which resource failed and why.
func Deploy(ctx context.Context, config aws.Config, stack, template string) error {
	client := cloudformation.NewFromConfig(config)
	exists, err := stackExists(ctx, client, stack)
	if err != nil {
		return err
	}
	if !exists {
		return create(ctx, client, stack, template)
	}
	return update(ctx, client, stack, template)
}

// DeployIfAbsent is Deploy for a stack that does not exist; one that does is left as it is.
func DeployIfAbsent(ctx context.Context, config aws.Config, stack, template string) error {
	client := cloudformation.NewFromConfig(config)
	exists, err := stackExists(ctx, client, stack)
	if err != nil || exists {
		return err
	}
	return create(ctx, client, stack, template)
}

func stackExists(ctx context.Context, client *cloudformation.Client, stack string) (bool, error) {
	_, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if isValidationError(err, "does not exist") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for stack %s: %w", stack, err)
	}
	return true, nil
}

// capabilities allow templates with IAM roles, named ones too.
var capabilities = []types.Capability{types.CapabilityCapabilityNamedIam}

func create(ctx context.Context, client *cloudformation.Client, stack, template string) error {
	_, err := client.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: &stack, TemplateBody: &template, Capabilities: capabilities})
	if err != nil {
		return fmt.Errorf("create stack %s: %w", stack, err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(client, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = deployPoll, deployPoll
	})
	err = waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, deployTimeout)
	return explain(ctx, client, stack, "create", err)
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

// explain adds to a waiter's error what the stack's events say.
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
