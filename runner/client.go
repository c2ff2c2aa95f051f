package runner

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/jonboulle/clockwork"
)

// Client starts and watches the builds of one deployed stack. It is safe for
// concurrent use; builds that are waited for at the same time are polled
// together. It needs no Close: it runs nothing while nobody waits.
type Client struct {
	stack   Stack
	builds  buildAPI
	logs    logAPI
	objects objectAPI
	clock   clockwork.Clock
	watcher *watcher
	logPace *pacer

	queueWait time.Duration
}

// The methods of the AWS services that are called, no more.
type (
	stackAPI interface {
		DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
	}
	parameterAPI interface {
		GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
	}
	buildAPI interface {
		StartBuild(context.Context, *codebuild.StartBuildInput, ...func(*codebuild.Options)) (*codebuild.StartBuildOutput, error)
		StopBuild(context.Context, *codebuild.StopBuildInput, ...func(*codebuild.Options)) (*codebuild.StopBuildOutput, error)
		BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error)
		ListBuildsForProject(context.Context, *codebuild.ListBuildsForProjectInput, ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error)
	}
	logAPI interface {
		GetLogEvents(context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error)
	}
	objectAPI interface {
		PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
		ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	}
)

// Option changes how a [Client] works.
type Option func(*Client)

// WithQueueWait makes Start and Run wait up to that long for room, when the
// account already runs and queues as many builds as it may. Without it they fail
// with [ErrQueueFull] at once.
func WithQueueWait(most time.Duration) Option { return func(c *Client) { c.queueWait = most } }

// WithClock replaces the clock, for tests.
func WithClock(clock clockwork.Clock) Option { return func(c *Client) { c.clock = clock } }

// New returns a client for the stack of that name, in the region and with the
// credentials of cfg. Where a stack has several image builders, the name is the
// stack's, a dot and the builder's OutputPrefix; a name that begins with a slash
// is that of the parameter a builder wrote (ParameterName). It reads the stack's outputs, so that a stack that is not
// there ([ErrStackNotFound]) or does not fit ([ErrIncompatibleStack]), bad
// credentials ([ErrCredentials]) and an endpoint that does not answer
// ([ErrUnreachable]) show here and not in the middle of a build.
func New(ctx context.Context, cfg aws.Config, stack string, opts ...Option) (*Client, error) {
	if stack == "" { // for CloudFormation that is any stack
		return nil, invalid("no stack name: the default stack's is \"flexbuild\"")
	}
	if err := checkConfig(ctx, cfg); err != nil {
		return nil, err
	}
	described, err := discover(ctx, cfg, stack)
	if err != nil {
		return nil, err
	}
	return newClient(described, codebuild.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg), s3.NewFromConfig(cfg), opts), nil
}

func newClient(stack Stack, builds buildAPI, logs logAPI, objects objectAPI, opts []Option) *Client {
	c := &Client{stack: stack, builds: builds, logs: logs, objects: objects, clock: clockwork.NewRealClock()}
	for _, opt := range opts {
		opt(c)
	}
	c.watcher = newWatcher(builds, c.clock)
	c.logPace = newPacer(c.clock, logRate)
	return c
}

// Stack returns what the stack said about itself when the client was made.
func (c *Client) Stack() Stack { return c.stack }

// checkConfig finds what the SDK would report late and in its own terms.
func checkConfig(ctx context.Context, cfg aws.Config) error {
	if cfg.Region == "" {
		return invalid("no AWS region: set AWS_REGION, or the profile's region; %s", withoutAWS)
	}
	if cfg.Credentials == nil {
		return fmt.Errorf("%w: %s", ErrCredentials, getCredentials)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %s: %w", ErrCredentials, getCredentials, err)
	}
	return nil
}

func readOutputs(ctx context.Context, api stackAPI, region, name string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if hasCode(err, "ValidationError") && strings.Contains(err.Error(), "does not exist") {
		return nil, fmt.Errorf("%w: there is no %q in %s: deploy it with \"cdk deploy\" (in the local engine: \"flexbuild local deploy\"), or name another stack: %w", ErrStackNotFound, name, region, err)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("read the outputs of stack %q", name), err)
	}
	if len(out.Stacks) == 0 {
		return nil, fmt.Errorf("%w: there is no %q in %s", ErrStackNotFound, name, region)
	}
	return outputsOf(out.Stacks[0])
}

// outputsOf refuses a stack that is not, or not yet, what its outputs say.
func outputsOf(stack cfntypes.Stack) (map[string]string, error) {
	if len(stack.Outputs) == 0 {
		return nil, fmt.Errorf("%w: %q is in state %s and has no outputs: wait until its deployment has finished, or look at why it failed (aws cloudformation describe-stack-events)",
			ErrIncompatibleStack, aws.ToString(stack.StackName), stack.StackStatus)
	}
	outputs := make(map[string]string, len(stack.Outputs))
	for _, output := range stack.Outputs {
		outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	return outputs, nil
}
