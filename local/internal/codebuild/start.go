package codebuild

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// StartBuild starts a build of a project, with overrides for this build only.
// It answers as soon as the build is queued. Errors: ResourceNotFoundException
// for the project, InvalidInputException for what the call asks,
// AccountLimitExceededException when there is no place in the queue.
func (s *Service) StartBuild(ctx context.Context, in *codebuild.StartBuildInput) (*codebuild.StartBuildOutput, error) {
	if err := validateCall(in); err != nil {
		return nil, err
	}
	project, err := s.project(*in.ProjectName)
	if err != nil {
		return nil, err
	}
	call := *in
	if call.ServiceRoleOverride = nil; aws.ToString(in.ServiceRoleOverride) != "" {
		call.ServiceRoleOverride = aws.String(roleARN(*in.ServiceRoleOverride))
	}
	build := compose(project, &call, s.Inheritance)
	if err := s.validate(build, overrideNames); err != nil {
		return nil, err
	}
	build.Build.Initiator = aws.String(initiator(ctx))
	started, err := s.submit(aws.ToString(in.IdempotencyToken), in, project, build)
	if err != nil {
		return nil, err
	}
	return &codebuild.StartBuildOutput{Build: &started}, nil
}

// initiator names who starts a build as AWS does: the last part of the caller's
// ARN.
func initiator(ctx context.Context) string {
	principal, _ := iam.PrincipalFrom(ctx)
	name := principal.ARN[strings.LastIndex(principal.ARN, ":")+1:]
	return strings.TrimPrefix(name, "assumed-role/")
}

// submit gives the build its identity and a place in the queue. The whole
// decision is one critical section, so that neither limits nor idempotency
// tokens can be passed by two calls at once. The input of the call goes with
// the token.
func (s *Service) submit(token string, in any, project types.Project, build storedBuild) (types.Build, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admit(token, in, project, build)
}

// admit is submit for a caller that holds s.mu.
func (s *Service) admit(token string, in any, project types.Project, build storedBuild) (types.Build, error) {
	if s.closed {
		return types.Build{}, unavailable("the local engine is shutting down")
	}
	if earlier, found, err := s.redeem(token, in); err != nil || found {
		return earlier, err
	}
	if err := s.makeRoom(project); err != nil {
		return types.Build{}, err
	}
	if err := s.identify(&build); err != nil {
		return types.Build{}, err
	}
	build.Sequence = s.nextSequence()
	if err := s.builds.put(build); err != nil {
		return types.Build{}, err
	}
	id := *build.Build.Id
	if err := s.keepToken(token, in, id); err != nil {
		return types.Build{}, err
	}
	s.history = append(s.history, entry{sequence: build.Sequence, id: id, project: *build.Build.ProjectName})
	s.enqueue(*build.Build.ProjectName, s.record(build))
	return build.Build, nil
}

func (s *Service) nextSequence() int64 {
	if len(s.history) == 0 {
		return 1
	}
	return s.history[len(s.history)-1].sequence + 1
}

// identify gives a build its id, number and first phases. The answer to
// StartBuild shows it in QUEUED, as on AWS.
func (s *Service) identify(stored *storedBuild) error {
	build := &stored.Build
	name := *build.ProjectName
	project, err := s.projects.Update(name, func(p storedProject, found bool) (storedProject, error) {
		if !found {
			return p, notFound("Project cannot be found: %s", s.arn("project", name))
		}
		p.LastBuild++
		return p, nil
	})
	if err != nil {
		return err
	}
	now := s.Clock.Now().UTC()
	id := name + ":" + uuid.NewString()
	build.Id, build.Arn = aws.String(id), aws.String(s.arn("build", id))
	build.BuildNumber = aws.Int64(project.LastBuild)
	build.StartTime = &now
	build.CurrentPhase = aws.String(string(types.BuildPhaseTypeQueued))
	build.Phases = []types.BuildPhase{
		{PhaseType: types.BuildPhaseTypeSubmitted, PhaseStatus: types.StatusTypeSucceeded, StartTime: &now, EndTime: &now, DurationInSeconds: aws.Int64(0)},
		{PhaseType: types.BuildPhaseTypeQueued, StartTime: &now},
	}
	logs := *build.Logs
	logs.CloudWatchLogsArn, logs.DeepLink = logLinks(s.Region, "null", "null")
	build.Logs = &logs
	stored.announce()
	return nil
}
