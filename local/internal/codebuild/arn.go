package codebuild

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

func (s *Service) arn(kind, name string) string {
	return "arn:aws:codebuild:" + s.Region + ":" + iam.AccountID + ":" + kind + "/" + name
}

// buildID returns the id of a build, given its id or ARN.
func (s *Service) buildID(idOrARN string) string {
	return strings.TrimPrefix(idOrARN, s.arn("build", ""))
}

// projectName returns the name of a project, given its name or ARN.
func (s *Service) projectName(nameOrARN string) string {
	return strings.TrimPrefix(nameOrARN, s.arn("project", ""))
}

// resources returns the projects that a call concerns, for authorization. As on
// AWS, builds are authorized as their project. Operations that concern no
// particular project return nothing.
func (s *Service) resources(input any) []string {
	switch in := input.(type) {
	case *codebuild.StartBuildInput:
		return s.projectARNs(aws.ToString(in.ProjectName))
	case *codebuild.CreateProjectInput:
		return s.projectARNs(aws.ToString(in.Name))
	case *codebuild.UpdateProjectInput:
		return s.projectARNs(aws.ToString(in.Name))
	case *codebuild.DeleteProjectInput:
		return s.projectARNs(aws.ToString(in.Name))
	case *codebuild.BatchGetProjectsInput:
		return s.projectARNs(in.Names...)
	case *codebuild.ListBuildsForProjectInput:
		return s.projectARNs(aws.ToString(in.ProjectName))
	case *codebuild.BatchGetBuildsInput:
		return s.projectARNs(s.projectsOf(in.Ids)...)
	case *codebuild.StopBuildInput:
		return s.projectARNs(s.projectsOf([]string{aws.ToString(in.Id)})...)
	case *codebuild.RetryBuildInput:
		return s.projectARNs(s.projectsOf([]string{aws.ToString(in.Id)})...)
	}
	return nil
}

func (s *Service) projectsOf(ids []string) []string {
	var names []string
	for _, id := range ids {
		project, _, _ := strings.Cut(s.buildID(id), ":")
		names = append(names, project)
	}
	return names
}

func (s *Service) projectARNs(names ...string) []string {
	seen := map[string]bool{}
	var arns []string
	for _, name := range names {
		arn := s.arn("project", s.projectName(name))
		if !seen[arn] {
			seen[arn] = true
			arns = append(arns, arn)
		}
	}
	return arns
}
