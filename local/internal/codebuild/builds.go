package codebuild

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// maxBatch is how many builds or projects one call may name.
const maxBatch = 100

// BatchGetBuilds describes 1 to 100 builds, by id or ARN. Unknown ones are
// returned in BuildsNotFound.
func (s *Service) BatchGetBuilds(_ context.Context, in *codebuild.BatchGetBuildsInput) (*codebuild.BatchGetBuildsOutput, error) {
	if err := checkCount("ids", len(in.Ids), 1, maxBatch); err != nil {
		return nil, err
	}
	out := &codebuild.BatchGetBuildsOutput{}
	for _, id := range unique(in.Ids) {
		build, found, err := s.build(s.buildID(id))
		switch {
		case err != nil:
			return nil, err
		case found:
			out.Builds = append(out.Builds, build)
		default:
			out.BuildsNotFound = append(out.BuildsNotFound, id)
		}
	}
	return out, nil
}

// build returns a build's document, and whether there is such a build.
func (s *Service) build(id string) (types.Build, bool, error) {
	stored, found, err := s.stored(id)
	return stored.Build, found, err
}

// stored returns a build with the definitions of its artifacts, and whether
// there is such a build.
func (s *Service) stored(id string) (storedBuild, bool, error) {
	if r := s.unsavedBuild(id); r != nil {
		return r.stored(), true, nil
	}
	return s.builds.get(id)
}

// unsavedBuild returns the build whose end could not be stored so far, and
// tries to store it.
func (s *Service) unsavedBuild(id string) *Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.unsaved[id]
	if r != nil && r.keep() {
		delete(s.unsaved, id)
	}
	return r
}

// StopBuild stops a build, by id or ARN, and returns it when its processes have
// ended, or its present state if the caller does not wait that long. A complete
// build is returned unchanged.
func (s *Service) StopBuild(ctx context.Context, in *codebuild.StopBuildInput) (*codebuild.StopBuildOutput, error) {
	id := s.buildID(aws.ToString(in.Id))
	s.mu.Lock()
	j, active := s.active[id]
	if active && !s.dequeue(j, errStopped) {
		j.cancel(errStopped)
	}
	s.mu.Unlock()
	if active {
		select {
		case <-j.done:
		case <-ctx.Done():
		}
	}
	build, found, err := s.build(id)
	if err == nil && !found {
		err = notFound("Build cannot be found: %s", s.arn("build", id))
	}
	if err != nil {
		return nil, err
	}
	return &codebuild.StopBuildOutput{Build: &build}, nil
}
