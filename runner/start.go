package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/uuid"
)

// Start checks the request, uploads the source if that is a directory, starts
// the build and returns a handle to it, without waiting for anything more. A
// request that cannot work gives an [ErrInvalidRequest] and leaves nothing
// behind; an account at its limit gives [ErrQueueFull] (see [WithQueueWait]).
// [WithEvents] tells what happens until there is a build; the other options are
// Run's.
//
// Cancelling the context while the build is being started does not leave one
// behind that nobody knows of: either Start fails, or it returns the build.
func (c *Client) Start(ctx context.Context, r Request, opts ...RunOption) (*Build, error) {
	return c.start(ctx, r, c.newRun(opts).emit)
}

func (c *Client) start(ctx context.Context, r Request, emit func(Event)) (*Build, error) {
	r, source, err := r.prepare(c.stack)
	if err != nil {
		return nil, err
	}
	defer source.close()
	token := r.IdempotencyToken
	if token == "" {
		token = uuid.NewString()
	}
	if source, err = c.upload(ctx, source, emit); err != nil {
		return nil, err
	}
	id, err := c.startBuild(ctx, startInput(c.stack, r, source, token), emit)
	if err != nil {
		return nil, err
	}
	b := &Build{id: id, client: c, grace: graceStarted}
	emit(Event{Type: EventStarted, Time: c.clock.Now(), BuildID: id})
	return b, nil
}

// prepare checks all that can be checked before anything is sent, and returns
// the request in the stack's terms.
func (r Request) prepare(stack Stack) (Request, prepared, error) {
	if r.Source == nil {
		return r, prepared{}, invalid(`no source: give a Dir, a Git, or what ParseSource returns`)
	}
	if schemeForm.MatchString(r.Dockerfile) {
		return r, prepared{}, invalid("Dockerfile%s: a Dockerfile is read from the source, not from a URL: download it, and name the file", quote(r.Dockerfile))
	}
	r.Platforms = normalizePlatforms(r.Platforms)
	tags, err := stack.withoutRegistry(r.Tags)
	if err != nil {
		return r, prepared{}, err
	}
	r.Tags = tags
	source, err := r.Source.prepare(r.Dockerfile)
	if err != nil {
		return r, prepared{}, err
	}
	if err := r.validate(stack, source); err != nil {
		source.close()
		return r, prepared{}, err
	}
	return r, source, nil
}

func (p prepared) close() {
	if p.upload != nil {
		p.upload.Close() // it was only read: nothing can be lost
	}
}

// startInput is what StartBuild is sent.
func startInput(stack Stack, r Request, source prepared, token string) *codebuild.StartBuildInput {
	in := &codebuild.StartBuildInput{
		ProjectName:                    aws.String(stack.ProjectName),
		IdempotencyToken:               aws.String(token),
		ComputeTypeOverride:            types.ComputeType(computeTypes[r.Size]),
		TimeoutInMinutesOverride:       minutes(r.Timeout),
		QueuedTimeoutInMinutesOverride: minutes(r.QueueTimeout),
	}
	overrideSource(in, source)
	askForARM(in, stack, r.Platforms)
	for _, v := range r.params(source).Environment() {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{
			Name: aws.String(v.Name), Value: aws.String(v.Value), Type: types.EnvironmentVariableType(v.Type),
		})
	}
	return in
}

// overrideSource sends all that the source needs and nothing that it cannot have:
// AWS does not document what a build keeps of the project's source when a call
// overrides its type. Only git sources have a depth and submodules; CodeBuild
// refuses a depth for S3. No ref means that none is sent: the project has no
// version that could be kept, and AWS documents no word for "the default". The
// buildspec, the image, the machine's type, the privileged mode and the role are
// the project's: GrantStart denies their overrides.
func overrideSource(in *codebuild.StartBuildInput, source prepared) {
	in.SourceTypeOverride = types.SourceType(source.sourceType)
	if source.sourceType == Clone {
		return
	}
	in.SourceLocationOverride = aws.String(source.location)
	if source.sourceType == sourceUploaded {
		return
	}
	if source.version != "" {
		in.SourceVersion = aws.String(source.version)
	}
	in.GitCloneDepthOverride = aws.Int32(1)
	in.GitSubmodulesConfigOverride = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
}

// Room in a full queue comes with the end of a build: minutes, rather.
const (
	queueRetryMin = 2 * time.Second
	queueRetryMax = 30 * time.Second
)

// startBuild waits for room in the queue, if the client was told to.
func (c *Client) startBuild(ctx context.Context, in *codebuild.StartBuildInput, emit func(Event)) (string, error) {
	var deadline time.Time // from the first refusal on
	for wait := queueRetryMin; ; wait = min(2*wait, queueRetryMax) {
		id, err := c.startOnce(ctx, in)
		var full *types.AccountLimitExceededException
		if !errors.As(err, &full) {
			return id, c.explainStart(err)
		}
		if deadline.IsZero() {
			deadline = c.clock.Now().Add(c.queueWait)
		}
		wait = min(wait, deadline.Sub(c.clock.Now()))
		if wait <= 0 {
			return "", c.noRoom(err)
		}
		emit(c.note("the build queue is full: trying again in %v", wait.Round(100*time.Millisecond)))
		if err := sleep(ctx, c.clock, wait); err != nil {
			return "", fmt.Errorf("wait for room in the build queue: %w", err)
		}
	}
}

func (c *Client) noRoom(err error) error {
	return fmt.Errorf("%w: the account or the project runs and queues as many builds as it may, and had no room within %v: wait for builds to end, ask for a higher quota of concurrent builds, or be more patient (WithQueueWait, or the command's --queue-wait): %w",
		ErrQueueFull, c.queueWait, err)
}

// startOnce sees the call through even if the context ends: without its answer,
// a build could run that nobody knows of.
func (c *Client) startOnce(ctx context.Context, in *codebuild.StartBuildInput) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	out, err := c.builds.StartBuild(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Build.Id), nil
}

func (c *Client) explainStart(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "mismatch for idempotency token"):
		return fmt.Errorf("%w: the idempotency token was used for another request within the last 5 minutes: use a new one, or none: %w", ErrInvalidRequest, err)
	case hasCode(err, "InvalidInputException"):
		return fmt.Errorf("%w: CodeBuild refused it: %w", ErrInvalidRequest, err)
	case hasCode(err, "ResourceNotFoundException"):
		return fmt.Errorf("%w: its project %q is gone: deploy the stack again: %w", ErrIncompatibleStack, c.stack.ProjectName, err)
	}
	return explain("start a build of project "+c.stack.ProjectName, err)
}
