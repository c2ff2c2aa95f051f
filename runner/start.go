package runner

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/uuid"
)

// Start checks the request, uploads the source if that is a directory, starts
// the build and returns a handle to it, without waiting for anything more. A
// request that cannot work gives an [ErrInvalidRequest] and leaves nothing
// behind.
//
// Start waits while AWS throttles it, until the context ends, and for room in a
// full build queue (see [WithQueueWait]). It starts no build twice and loses none:
// where the answer to a call is lost, it asks again with the same idempotency
// token, and then looks for the build among those of the project. Where it cannot
// find out, the error is [ErrUnknownStart]. If the context ends while a build is
// being started, either Start fails, or it returns the build.
func (c *Client) Start(ctx context.Context, r Request, opts ...StartOption) (*Build, error) {
	var o runOptions
	for _, opt := range opts {
		opt.applyToRun(&o)
	}
	return c.start(ctx, r, o.emit)
}

func (c *Client) start(ctx context.Context, r Request, emit func(Event)) (*Build, error) {
	r, source, err := r.prepare(c.stack)
	if err != nil {
		return nil, err
	}
	defer source.close()
	if r.IdempotencyToken == "" {
		r.IdempotencyToken = uuid.NewString()
	}
	if source, err = c.upload(ctx, source, emit); err != nil {
		return nil, err
	}
	s := &starting{client: c, input: startInput(c.stack, r, source), id: r.requestID(), emit: emit}
	id, err := s.run(ctx)
	if err != nil {
		return nil, c.explainStart(err)
	}
	emit(Event{Type: EventStarted, Time: time.Now(), BuildID: id})
	return &Build{id: id, client: c, started: time.Now()}, nil
}

// Check reports what is wrong with a request, as Start would before it sends
// anything: an [ErrInvalidRequest], or nil. It reads a [Tar], which is then used up.
func (c *Client) Check(r Request) error {
	_, source, err := r.prepare(c.stack)
	source.close()
	return err
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
	if p.remove != nil {
		p.remove()
	}
}

// startInput is what StartBuild is sent. The build carries its request's token in a
// variable too, by which it is found where the answer was lost.
func startInput(stack Stack, r Request, source prepared) *codebuild.StartBuildInput {
	in := &codebuild.StartBuildInput{
		ProjectName:                    aws.String(stack.ProjectName),
		IdempotencyToken:               aws.String(r.IdempotencyToken),
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
