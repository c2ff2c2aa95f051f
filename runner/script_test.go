package runner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// script answers the calls of a client with what a test specifies, such as
// answers that the engine cannot be made to give. The tests run in a bubble of
// testing/synctest, so that waiting costs nothing.
type script struct {
	begin time.Time

	// getBuilds answers by the time since the begin.
	getBuilds func(at time.Duration, id string) (types.Build, error)
	takes     func(at time.Duration) time.Duration // that call, on its way back; nil: nothing
	getLog    func(at time.Duration, token string) (*cloudwatchlogs.GetLogEventsOutput, error)
	filter    func(at time.Duration, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error)
	start     func(at time.Duration) (string, error)
	stop      func(at time.Duration) error
	list      func(at time.Duration) ([]string, error) // ids of the project's builds
	put       func(ctx context.Context, body io.ReadSeeker) error

	silent bool // nothing but StartBuild and what builds are asked is answered any more

	mu      sync.Mutex
	batches [][]string
	calls   []time.Duration // of BatchGetBuilds
	tokens  []string        // of StartBuild
	stops   int
	stopped bool
	objects map[string]time.Time // when they were put
	skew    time.Duration
}

var errNotFound = fmt.Errorf("in the script: not found")

func newScript() *script { return &script{begin: time.Now(), objects: map[string]time.Time{}} }

func (s *script) client(opts ...Option) *Client {
	stack, err := parseStack("flexbuild", testOutputs)
	if err != nil {
		panic(err)
	}
	c := newClient(opts)
	c.stack = stack
	c.connect(s, s, s)
	return c
}

func (s *script) BatchGetBuilds(ctx context.Context, in *codebuild.BatchGetBuildsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	at := time.Since(s.begin)
	s.mu.Lock()
	s.batches = append(s.batches, in.Ids)
	s.calls = append(s.calls, at)
	s.mu.Unlock()
	out := &codebuild.BatchGetBuildsOutput{}
	for _, id := range in.Ids {
		b, err := s.getBuilds(at, id)
		switch {
		case err == errNotFound:
			out.BuildsNotFound = append(out.BuildsNotFound, id)
		case err != nil:
			return nil, err
		default:
			out.Builds = append(out.Builds, b)
		}
	}
	if s.takes != nil {
		return out, sleep(ctx, s.takes(at))
	}
	return out, ctx.Err()
}

func (s *script) GetLogEvents(_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	return s.getLog(time.Since(s.begin), aws.ToString(in.NextToken))
}

// FilterLogEvents returns the whole of what getLog has for the streams so far.
func (s *script) FilterLogEvents(_ context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	return s.filter(time.Since(s.begin), in)
}

func (s *script) StartBuild(_ context.Context, in *codebuild.StartBuildInput, _ ...func(*codebuild.Options)) (*codebuild.StartBuildOutput, error) {
	s.mu.Lock()
	s.tokens = append(s.tokens, *in.IdempotencyToken)
	s.mu.Unlock()
	id, err := s.start(time.Since(s.begin))
	if err != nil {
		return nil, err
	}
	return &codebuild.StartBuildOutput{Build: &types.Build{Id: aws.String(id)}}, nil
}

func (s *script) StopBuild(ctx context.Context, _ *codebuild.StopBuildInput, _ ...func(*codebuild.Options)) (*codebuild.StopBuildOutput, error) {
	if err := s.silence(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops++
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if s.stop != nil {
		if err := s.stop(time.Since(s.begin)); err != nil {
			return nil, err
		}
	}
	s.stopped = true
	return &codebuild.StopBuildOutput{}, nil
}

func (s *script) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *script) ListBuildsForProject(ctx context.Context, _ *codebuild.ListBuildsForProjectInput, _ ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error) {
	if s.list == nil || s.silent {
		return &codebuild.ListBuildsForProjectOutput{}, s.silence(ctx)
	}
	ids, err := s.list(time.Since(s.begin))
	if err != nil {
		return nil, err
	}
	return &codebuild.ListBuildsForProjectOutput{Ids: ids}, nil
}

func (s *script) DescribeStacks(ctx context.Context, _ *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	return &cloudformation.DescribeStacksOutput{}, s.silence(ctx)
}

func (s *script) GetParameter(ctx context.Context, _ *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	return &ssm.GetParameterOutput{}, s.silence(ctx)
}

// silence returns a call that gets no answer.
func (s *script) silence(ctx context.Context) error {
	if !s.silent {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *script) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if err := s.silence(ctx); err != nil {
		return nil, err
	}
	if s.put != nil {
		if err := s.put(ctx, in.Body.(io.ReadSeeker)); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if aws.ToString(in.IfNoneMatch) != "*" {
		return nil, denied()
	}
	if _, found := s.objects[*in.Key]; found {
		return nil, &smithy.GenericAPIError{Code: "PreconditionFailed"}
	}
	s.objects[*in.Key] = time.Now()
	return &s3.PutObjectOutput{}, nil
}

// The service's clock is ahead of this machine's by skew.
func (s *script) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	if err := s.silence(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &s3.ListObjectsV2Output{}
	for key, when := range s.objects {
		if strings.HasPrefix(key, *in.Prefix) {
			out.Contents = append(out.Contents, s3types.Object{Key: aws.String(key), LastModified: aws.Time(when.Add(s.skew))})
		}
	}
	out.ResultMetadata = dated(time.Now().Add(s.skew))
	return out, nil
}

// dated returns the metadata of an answer with that Date, made by the SDK
// itself.
func dated(now time.Time) middleware.Metadata {
	stack := middleware.NewStack("dated", smithyhttp.NewStackRequest)
	if err := awsmiddleware.AddRecordResponseTiming(stack); err != nil {
		panic(err)
	}
	answer := middleware.HandlerFunc(func(context.Context, any) (any, middleware.Metadata, error) {
		header := http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}
		return &smithyhttp.Response{Response: &http.Response{Header: header}}, middleware.Metadata{}, nil
	})
	_, metadata, err := middleware.DecorateHandler(answer, stack).Handle(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	return metadata
}

func throttled() error {
	return &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
}

func denied() error {
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User is not authorized", Fault: smithy.FaultClient}
}

func outage() error {
	return &smithy.GenericAPIError{Code: "InternalFailure", Message: "oops", Fault: smithy.FaultServer}
}

// doneAt returns a build that runs until then and succeeds.
func doneAt(end time.Duration) func(time.Duration, string) (types.Build, error) {
	return func(at time.Duration, id string) (types.Build, error) {
		if at < end {
			return aBuild(id, types.StatusTypeInProgress, "SUBMITTED SUCCEEDED", "BUILD"), nil
		}
		b := succeeded(id)
		b.EndTime = aws.Time(time.Now())
		return b, nil
	}
}

// pageOf returns a page of a log with these messages.
func pageOf(next string, messages ...string) *cloudwatchlogs.GetLogEventsOutput {
	out := &cloudwatchlogs.GetLogEventsOutput{NextForwardToken: aws.String(next)}
	for _, m := range messages {
		out.Events = append(out.Events, logtypes.OutputLogEvent{Timestamp: aws.Int64(testStart.UnixMilli()), Message: aws.String(m)})
	}
	return out
}
