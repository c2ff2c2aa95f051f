package runner

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/uuid"
)

// Start checks the request, uploads its source if that is a directory, starts
// the build and returns a handle to it. It does not wait for the build. A
// request that cannot work returns an [ErrInvalidRequest] and leaves nothing
// behind.
//
// Start waits while AWS throttles it, until the context ends, and for room in a
// full queue (see [WithQueueWait]). It never starts a build twice and never
// loses one: if the answer to a call is lost, Start repeats the call with the
// same idempotency token, and then looks for the build among those of the
// project. If it cannot find out whether a build was started, it returns
// [ErrUnknownStart]. If the context ends while a build is being started, Start
// either fails or returns the build.
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
	emit(Event{Type: EventStarted, Time: time.Now().UTC(), BuildID: id})
	return &Build{id: id, client: c, started: time.Now()}, nil
}

// Check returns the error that Start would return before it sends anything: an
// [ErrInvalidRequest], or nil. Check reads a [Tar], which cannot be used again.
func (c *Client) Check(r Request) error {
	_, source, err := r.prepare(c.stack)
	source.close()
	return err
}

// prepare checks everything that can be checked before anything is sent, and
// returns the request in the stack's terms.
func (r Request) prepare(stack Stack) (Request, prepared, error) {
	if r.Source == nil {
		return r, prepared{}, invalid(`no source: give a Dir, a Git, or what ParseSource returns`)
	}
	if schemeForm().MatchString(r.Dockerfile) {
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
		p.upload.Close() // it was only read, so no data can be lost
	}
	if p.remove != nil {
		p.remove()
	}
}

// startInput returns the input of StartBuild. The build also carries the
// request's token in a variable, by which it can be found if the answer is
// lost.
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

// overrideSource sets everything that the source needs and nothing that it
// cannot have, because AWS does not document what a build keeps of the
// project's source when a call overrides its type. Only git sources have a
// depth and submodules, and CodeBuild refuses a depth for S3. Without a ref, no
// version is sent: the project has no version that could be kept, and AWS
// documents no word for the default. The buildspec, the image, the machine's
// type, the privileged mode and the role stay the project's, because GrantStart
// denies their overrides.
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
