package runner

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Client starts and watches the builds of one deployed stack. It is safe for
// concurrent use. Builds that are waited for at the same time are polled
// together, and logs that are followed at the same time are read together. A
// Client needs no Close, because it runs no goroutine while nobody waits.
type Client struct {
	stack   Stack
	calls   *calls
	builds  buildAPI
	objects objectAPI
	watcher *watcher
	starts  *startQueue
	logs    *logs

	queueWait time.Duration
	logRate   float64
	team      string // "" is none
}

// The interfaces list only the methods that this package calls.
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
		FilterLogEvents(context.Context, *cloudwatchlogs.FilterLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error)
	}
	objectAPI interface {
		PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
		ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	}
)

// Option changes how a [Client] works.
type Option func(*Client)

// defaultQueueWait is how long Start waits for room in a full build queue.
const defaultQueueWait = 10 * time.Minute

// WithQueueWait sets how long Start and Run wait for room when the account
// already runs and queues as many builds as it may. After that they return
// [ErrQueueFull]. The default is 10 minutes; 0 returns at once. The starts of a
// client wait in one line, in the order in which they came.
func WithQueueWait(most time.Duration) Option { return func(c *Client) { c.queueWait = most } }

// WithLogRate sets how many calls a second may read logs. It applies to
// GetLogEvents and to FilterLogEvents separately; the default is 5. Both quotas
// belong to the account and depend on the region (CloudWatch Logs service
// quotas). If AWS throttles the calls, the client slows down, to a tenth of the
// rate at most, and returns to it afterwards. For each call a second, up to 100
// logs can be followed at once.
func WithLogRate(perSecond float64) Option { return func(c *Client) { c.logRate = perSecond } }

// WithTeam uploads directories under a key prefix of the given team. Callers
// need it if the stack lets them upload under that prefix only
// (infra.StartLimits.Team). The name has up to 32 letters, digits, - and _. The
// default is no team.
func WithTeam(name string) Option { return func(c *Client) { c.team = name } }

var teamForm = lazyregexp.New(`^([A-Za-z0-9][A-Za-z0-9_-]{0,31})?$`)

// WithMetrics reports every call, and the builds that are waited for, to m.
func WithMetrics(m Metrics) Option { return func(c *Client) { c.calls.metrics = m } }

// WithLogger logs what helps to find out why a client is slow or fails: each
// failed call with its error, at the debug level. The default is no log.
func WithLogger(log *slog.Logger) Option { return func(c *Client) { c.calls.log = log } }

// New returns a client for the stack with the given name, in the region and
// with the credentials of cfg. If a stack has several image builders, the name
// is the stack's name, a dot and the builder's OutputPrefix. A name that begins
// with a slash is that of the Systems Manager parameter to which a builder was
// published (ParameterName).
//
// New reads the stack's outputs. It therefore reports at once what would
// otherwise fail in the middle of a build: a stack that does not exist
// ([ErrStackNotFound]) or has another contract ([ErrIncompatibleStack]), bad
// credentials ([ErrCredentials]), and an endpoint that does not answer
// ([ErrUnreachable]).
func New(ctx context.Context, cfg aws.Config, stack string, opts ...Option) (*Client, error) {
	if stack == "" { // for CloudFormation that is any stack
		return nil, invalid("no stack name: the default stack's is \"flexbuild\"")
	}
	c := newClient(opts)
	if !teamForm().MatchString(c.team) {
		return nil, invalid("team %q: give up to 32 letters, digits, - and _, the first a letter or digit", c.team)
	}
	if err := checkConfig(ctx, cfg); err != nil {
		return nil, err
	}
	cfg, c.calls.credentials = prepareConfig(cfg)
	var err error
	if c.stack, err = discover(ctx, c.calls, cfg, stack); err != nil {
		return nil, err
	}
	if c.team != "" {
		c.stack.SourcePrefix += c.team + "/"
	}
	c.connect(codebuild.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg), s3.NewFromConfig(cfg))
	return c, nil
}

// prepareConfig switches the SDK's retries off (see calls), and returns the
// cache of the credentials.
func prepareConfig(cfg aws.Config) (aws.Config, *aws.CredentialsCache) {
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	cache, ok := cfg.Credentials.(*aws.CredentialsCache)
	if !ok {
		cache = aws.NewCredentialsCache(cfg.Credentials)
		cfg.Credentials = cache
	}
	return cfg, cache
}

func newClient(opts []Option) *Client {
	c := &Client{
		calls:     &calls{log: slog.New(slog.DiscardHandler)},
		queueWait: defaultQueueWait,
		logRate:   defaultLogRate,
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

func (c *Client) connect(builds buildAPI, events logAPI, objects objectAPI) {
	c.builds, c.objects = builds, objects
	c.watcher = newWatcher(c.calls, builds)
	c.starts = newStartQueue()
	c.logs = newLogs(c.calls, events, c.logRate)
	c.watcher.ended = c.starts.roomMayBe
}

// Stack returns the outputs that the stack had when the client was made.
func (c *Client) Stack() Stack { return c.stack }

// checkConfig reports missing settings that the SDK would report later and in
// terms of its own.
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

func readOutputs(ctx context.Context, calls *calls, api stackAPI, region, name string) (map[string]string, error) {
	var out *cloudformation.DescribeStacksOutput
	err := calls.retry(ctx, "DescribeStacks", func(ctx context.Context) (err error) {
		out, err = api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
		return err
	})
	if hasCode(err, "ValidationError") && strings.Contains(err.Error(), "does not exist") {
		return nil, fmt.Errorf("%w: there is no %q in %s: deploy it with \"flexbuild up\" (in the local engine: \"flexbuild local deploy\"), or name another stack: %w", ErrStackNotFound, name, region, err)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("read the outputs of stack %q", name), err)
	}
	if len(out.Stacks) == 0 {
		return nil, fmt.Errorf("%w: there is no %q in %s", ErrStackNotFound, name, region)
	}
	return outputsOf(out.Stacks[0])
}

// outputsOf returns a stack's outputs. It refuses a stack that has none, such
// as one that is still being created.
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
