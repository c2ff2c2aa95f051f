package codebuild

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// maxBatch is how many builds or projects one call may ask about.
const maxBatch = 100

// BatchGetBuilds describes 1 to 100 builds, by id or ARN; those that are not there come back in BuildsNotFound.
func (s *Service) BatchGetBuilds(_ context.Context, in *codebuild.BatchGetBuildsInput) (*codebuild.BatchGetBuildsOutput, error) {
	if err := checkCount("ids", len(in.Ids), 1, maxBatch); err != nil {
		return nil, err
	}
	out := &codebuild.BatchGetBuildsOutput{Builds: []types.Build{}, BuildsNotFound: []string{}}
	for _, id := range unique(in.Ids) {
		stored, found, err := s.builds.Get(s.buildID(id))
		switch {
		case err != nil:
			return nil, err
		case found:
			out.Builds = append(out.Builds, stored.Build)
		default:
			out.BuildsNotFound = append(out.BuildsNotFound, id)
		}
	}
	return out, nil
}

// StopBuild stops a build, by id or ARN, and returns it once its processes have ended, or as it is when the caller does
// not wait that long. A build that is complete is returned as it ended.
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
	stored, found, err := s.builds.Get(id)
	if err == nil && !found {
		err = notFound("Build cannot be found: %s", s.arn("build", id))
	}
	if err != nil {
		return nil, err
	}
	return &codebuild.StopBuildOutput{Build: &stored.Build}, nil
}
