package ecr

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// PutPullThroughCacheRule creates or replaces the rule of
// r.EcrRepositoryPrefix. The engine asks callers for the permissions of a pull
// under the prefix and imports nothing: the images there are those that were
// pushed.
func (s *Service) PutPullThroughCacheRule(r types.PullThroughCacheRule) error {
	prefix := aws.ToString(r.EcrRepositoryPrefix)
	if prefix != everyRepository && !repositoryName.MatchString(prefix) {
		return invalidParameter("Invalid parameter at 'ecrRepositoryPrefix': %q is neither ROOT nor the start of a repository name", prefix)
	}
	r.RegistryId = aws.String(iam.AccountID)
	_, err := s.rules.Update(prefix, func(old types.PullThroughCacheRule, found bool) (types.PullThroughCacheRule, error) {
		now := s.options.Clock.Now().UTC()
		r.CreatedAt, r.UpdatedAt = old.CreatedAt, &now
		if !found {
			r.CreatedAt = &now
		}
		return r, nil
	})
	return err
}

// RemovePullThroughCacheRule deletes the rule of prefix. Deleting a missing one
// is not an error.
func (s *Service) RemovePullThroughCacheRule(prefix string) error { return s.rules.Delete(prefix) }

// DescribePullThroughCacheRules describes the rules of the prefixes asked for,
// or all.
func (s *Service) DescribePullThroughCacheRules(_ context.Context, in *ecr.DescribePullThroughCacheRulesInput) (*ecr.DescribePullThroughCacheRulesOutput, error) {
	entries, err := s.rules.List("")
	if err != nil {
		return nil, err
	}
	all := []types.PullThroughCacheRule{}
	for _, e := range entries {
		if len(in.EcrRepositoryPrefixes) == 0 || slices.Contains(in.EcrRepositoryPrefixes, e.Key) {
			all = append(all, e.Value)
		}
	}
	page, next, err := paginate(all, in.MaxResults, in.NextToken)
	return &ecr.DescribePullThroughCacheRulesOutput{PullThroughCacheRules: page, NextToken: next}, err
}

// importNeeds returns what ECR asks of those who pull an image of a repository
// that a rule covers, besides the permission to pull ("IAM permissions required
// to sync an upstream registry" of the user guide). It is not known when ECR
// asks for the import of an image that it has already; the engine always does.
func (s *Service) importNeeds(name string) ([]iam.Permission, error) {
	covered, err := s.cached(name)
	if err != nil || !covered {
		return nil, err
	}
	needs := []iam.Permission{{Action: "ecr:BatchImportUpstreamImage", Resource: s.ARN(name)}}
	if _, err := s.Repository(name); err != nil {
		needs = append(needs, iam.Permission{Action: "ecr:CreateRepository", Resource: s.ARN(name)})
	}
	return needs, nil
}

// cached reports whether a rule covers the repository called name.
func (s *Service) cached(name string) (bool, error) {
	entries, err := s.rules.List("")
	return slices.ContainsFunc(entries, func(e store.Entry[types.PullThroughCacheRule]) bool {
		return e.Key == everyRepository || strings.HasPrefix(name, e.Key+"/")
	}), err
}
