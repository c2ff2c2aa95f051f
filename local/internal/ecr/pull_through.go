package ecr

import (
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// A pullThroughRule is the rule of a prefix of repositories. Nothing of it but
// the prefix matters, because nothing is imported.
type pullThroughRule struct{}

// PutPullThroughCacheRule adds a rule for the repositories under a prefix.
// Callers need the permissions of an import to pull from them. The images
// there are those that were pushed.
func (s *Service) PutPullThroughCacheRule(prefix string) error {
	if prefix != everyRepository && !repositoryName().MatchString(prefix) {
		return invalid("Invalid parameter at 'ecrRepositoryPrefix': %q is neither ROOT nor the start of a repository name", prefix)
	}
	return s.rules.Put(prefix, pullThroughRule{})
}

// RemovePullThroughCacheRule deletes the rule of prefix. Deleting a missing one
// is not an error.
func (s *Service) RemovePullThroughCacheRule(prefix string) error { return s.rules.Delete(prefix) }

// importNeeds returns what ECR requires of those who pull an image of a
// repository that a rule covers, besides the permission to pull. Source: "IAM
// permissions required to sync an upstream registry" of the user guide. It is
// not known whether ECR requires them for an image that it has already; the
// engine always does.
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
	return slices.ContainsFunc(entries, func(e store.Entry[pullThroughRule]) bool {
		return e.Key == everyRepository || strings.HasPrefix(name, e.Key+"/")
	}), err
}
