package codebuild

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// RetryBuild starts a new build with the settings of an earlier one, even if
// the project has changed since. A running build is refused.
func (s *Service) RetryBuild(ctx context.Context, in *codebuild.RetryBuildInput) (*codebuild.RetryBuildOutput, error) {
	if err := checkToken(in.IdempotencyToken); err != nil {
		return nil, err
	}
	id := s.buildID(aws.ToString(in.Id))
	earlier, found, err := s.stored(id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, notFound("Build cannot be found: %s", s.arn("build", id))
	case !earlier.Build.BuildComplete:
		return nil, invalid("Build %s is in progress and cannot be retried: wait for its end, or stop it", id)
	}
	project, err := s.project(*earlier.Build.ProjectName)
	if err != nil {
		return nil, err
	}
	build := again(earlier)
	build.Build.AutoRetryConfig = autoRetries(autoRetryLimit(earlier.Build))
	build.Build.Initiator = aws.String(initiator(ctx))
	if err := s.validateRole(aws.ToString(build.Build.ServiceRole)); err != nil {
		return nil, err
	}
	started, err := s.submit(aws.ToString(in.IdempotencyToken), in, project, build)
	return &codebuild.RetryBuildOutput{Build: &started}, err
}

// again returns a build with the settings of an earlier one.
func again(b storedBuild) storedBuild {
	earlier := b.Build
	return storedBuild{Artifacts: b.Artifacts, Build: begun(types.Build{
		ProjectName: earlier.ProjectName, Source: earlier.Source, SourceVersion: earlier.SourceVersion, Environment: earlier.Environment,
		SecondarySources: earlier.SecondarySources, SecondarySourceVersions: earlier.SecondarySourceVersions,
		Cache: earlier.Cache, Logs: &types.LogsLocation{CloudWatchLogs: earlier.Logs.CloudWatchLogs},
		ServiceRole: earlier.ServiceRole, EncryptionKey: earlier.EncryptionKey,
		TimeoutInMinutes: earlier.TimeoutInMinutes, QueuedTimeoutInMinutes: earlier.QueuedTimeoutInMinutes,
		VpcConfig: earlier.VpcConfig,
	})}
}

// autoRetries returns the configuration of a build that was not retried yet. It
// is nil without retries.
func autoRetries(limit *int32) *types.AutoRetryConfig {
	if aws.ToInt32(limit) == 0 {
		return nil
	}
	return &types.AutoRetryConfig{AutoRetryLimit: limit, AutoRetryNumber: aws.Int32(0)}
}

func autoRetryLimit(build types.Build) *int32 {
	if build.AutoRetryConfig == nil {
		return nil
	}
	return build.AutoRetryConfig.AutoRetryLimit
}

// autoRetry starts a failed build again if its limit, or that of a phase of its
// buildspec which failed, permits that. A retry that cannot be started is only
// logged, because AWS does not document what it does then. The caller holds
// s.mu.
func (s *Service) autoRetry(failed *Record) {
	config, limit := failed.retryConfig()
	if *config.AutoRetryNumber >= limit || s.closed {
		return
	}
	build := failed.stored()
	retry, err := s.retryAsRole(build, config)
	if err != nil {
		s.Log.Error("a failed build is not retried", "build", *build.Build.Id, "error", err)
		return
	}
	config.NextAutoRetry = retry.Arn
	failed.change(func(b *types.Build) { b.AutoRetryConfig = &config })
}

// retryAsRole starts a build again with the permission of the build's role, as
// CodeBuild does. Source: "Retry builds automatically" of the user guide.
func (s *Service) retryAsRole(stored storedBuild, config types.AutoRetryConfig) (types.Build, error) {
	build := stored.Build
	project, err := s.project(*build.ProjectName)
	if err != nil {
		return types.Build{}, err
	}
	_, uuid, _ := strings.Cut(*build.Id, ":")
	session, err := s.IAM.AssumeRole(iam.Assumption{
		RoleARN: *build.ServiceRole, Session: "AWSCodeBuild-" + uuid, Service: iam.CodeBuild, SourceARN: *project.Arn, TTL: time.Hour,
	})
	if err != nil {
		return types.Build{}, err
	}
	ctx := iam.WithPrincipal(context.Background(), session.Principal)
	if err := s.IAM.Authorize(ctx, iam.Permission{Action: "codebuild:RetryBuild", Resource: *project.Arn}); err != nil {
		return types.Build{}, err
	}
	retry := again(stored)
	retry.Build.Initiator = aws.String(initiator(ctx))
	retry.Build.AutoRetryConfig = &types.AutoRetryConfig{
		AutoRetryLimit:    config.AutoRetryLimit,
		AutoRetryNumber:   aws.Int32(*config.AutoRetryNumber + 1),
		PreviousAutoRetry: build.Arn,
	}
	return s.admit("", nil, project, retry)
}
