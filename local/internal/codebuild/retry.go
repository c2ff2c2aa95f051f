package codebuild

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// RetryBuild starts a new build with the settings of an earlier one, even if
// the project has changed since. A running build is refused.
func (s *Service) RetryBuild(ctx context.Context, in *codebuild.RetryBuildInput) (*codebuild.RetryBuildOutput, error) {
	if err := checkToken(in.IdempotencyToken); err != nil {
		return nil, err
	}
	id := s.buildID(aws.ToString(in.Id))
	earlier, found, err := s.build(id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, notFound("Build cannot be found: %s", s.arn("build", id))
	case !earlier.BuildComplete:
		return nil, invalid("Build %s is in progress and cannot be retried: wait for its end, or stop it", id)
	}
	project, err := s.project(*earlier.ProjectName)
	if err != nil {
		return nil, err
	}
	build := types.Build{
		ProjectName: earlier.ProjectName, Source: earlier.Source, SourceVersion: earlier.SourceVersion, Environment: earlier.Environment,
		Artifacts: earlier.Artifacts, Cache: earlier.Cache, Logs: &types.LogsLocation{CloudWatchLogs: earlier.Logs.CloudWatchLogs},
		ServiceRole: earlier.ServiceRole, EncryptionKey: earlier.EncryptionKey,
		TimeoutInMinutes: earlier.TimeoutInMinutes, QueuedTimeoutInMinutes: earlier.QueuedTimeoutInMinutes,
		Initiator: aws.String(initiator(ctx)),
	}
	if err := s.validateRole(aws.ToString(build.ServiceRole)); err != nil {
		return nil, err
	}
	started, err := s.submit(aws.ToString(in.IdempotencyToken), in, project, begun(build))
	return &codebuild.RetryBuildOutput{Build: &started}, err
}
