package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// mostRepositories is how many repositories are looked for before a batch.
const mostRepositories = 100

// checkRepositories returns an error for the repositories of tags that do not
// exist and that no push creates. A build would find that out later, on its
// machine. Repositories that the caller may not look for are left to the build.
func (t *target) checkRepositories(ctx context.Context, stack runner.Stack, tags []string) error {
	registry := ecr.NewFromConfig(t.cfg)
	var missing []string
	for _, name := range undeclared(stack, tags) {
		_, err := registry.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
		var notFound *ecrtypes.RepositoryNotFoundException
		if errors.As(err, &notFound) {
			missing = append(missing, name)
		} else if err != nil {
			return nil
		}
	}
	if len(missing) == 0 {
		return nil
	}
	prefixes, err := createdOnPush(ctx, t.cfg, stack.ProjectName)
	if err != nil {
		return nil
	}
	for _, name := range missing {
		if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return usagef("--tag: the registry %s has no repository %q: create it (aws ecr create-repository --repository-name %s), or let pushes create what is missing (--parameter CreateRepositoriesOnPush=true of \"flexbuild up\" or \"flexbuild local deploy\")",
				stack.Registry, name, name)
		}
	}
	return nil
}

// undeclared returns the repositories of tags that are not the stack's own but
// allowed by its prefix.
func undeclared(stack runner.Stack, tags []string) (names []string) {
	for _, tag := range tags {
		name, _, _ := strings.Cut(strings.TrimPrefix(tag, stack.Registry+"/"), ":")
		isBelow := stack.RepositoryPrefix != "" && strings.HasPrefix(name, stack.RepositoryPrefix)
		if isBelow && !slices.Contains(stack.RepositoryNames, name) && !slices.Contains(names, name) && len(names) < mostRepositories {
			names = append(names, name)
		}
	}
	return names
}

// createdOnPush returns the prefixes of repositories that a push creates. The
// project passes them to its builds.
func createdOnPush(ctx context.Context, cfg aws.Config, project string) ([]string, error) {
	found, err := codebuild.NewFromConfig(cfg).BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{project}})
	if err != nil {
		return nil, err
	}
	for _, p := range found.Projects {
		for _, v := range p.Environment.EnvironmentVariables {
			if aws.ToString(v.Name) == buildspec.VarCreateOnPush {
				return strings.Fields(aws.ToString(v.Value)), nil
			}
		}
	}
	return nil, nil
}
