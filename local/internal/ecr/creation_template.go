package ecr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// everyRepository is the prefix of the template for the names that no other
// template covers.
const everyRepository = "ROOT"

// PutRepositoryCreationTemplate creates or replaces the template of t.Prefix.
// When it is applied for CREATE_ON_PUSH, a push to a repository that does not
// exist under that prefix creates it with the template's settings.
func (s *Service) PutRepositoryCreationTemplate(t types.RepositoryCreationTemplate) error {
	prefix := aws.ToString(t.Prefix)
	if prefix != everyRepository && !repositoryName().MatchString(strings.TrimSuffix(prefix, "/")) {
		return invalid("Invalid parameter at 'prefix': %q is neither ROOT nor the start of a repository name", prefix)
	}
	if err := checkLifecyclePolicy(aws.ToString(t.LifecyclePolicy)); err != nil {
		return err
	}
	_, err := s.templates.Update(prefix, func(old types.RepositoryCreationTemplate, found bool) (types.RepositoryCreationTemplate, error) {
		now := s.Clock.Now().UTC()
		t.CreatedAt, t.UpdatedAt = old.CreatedAt, &now
		if !found {
			t.CreatedAt = &now
		}
		return t, nil
	})
	return err
}

// RemoveRepositoryCreationTemplate deletes the template of prefix. Deleting a
// missing one is not an error.
func (s *Service) RemoveRepositoryCreationTemplate(prefix string) error {
	return s.templates.Delete(prefix)
}

// DescribeRepositoryCreationTemplates describes the templates of the prefixes
// asked for, or all.
func (s *Service) DescribeRepositoryCreationTemplates(_ context.Context, in *ecr.DescribeRepositoryCreationTemplatesInput) (*ecr.DescribeRepositoryCreationTemplatesOutput, error) {
	entries, err := s.templates.List("")
	if err != nil {
		return nil, err
	}
	var all []types.RepositoryCreationTemplate
	for _, e := range entries {
		if len(in.Prefixes) == 0 || slices.Contains(in.Prefixes, e.Key) {
			all = append(all, e.Value)
		}
	}
	page, next, err := pageOf(all, func(t types.RepositoryCreationTemplate) string { return *t.Prefix }, in.MaxResults, in.NextToken)
	return &ecr.DescribeRepositoryCreationTemplatesOutput{RegistryId: aws.String(iam.AccountID), RepositoryCreationTemplates: page, NextToken: next}, err
}

// createOnPush creates the repository that somebody who may create it is about
// to push to, if a template covers its name. missing is the error for a name
// that no template covers.
func (s *Service) createOnPush(name string, missing error) (Repository, error) {
	template, found, err := s.templateFor(name)
	if err != nil {
		return Repository{}, err
	}
	if !found {
		return Repository{}, missing
	}
	_, err = s.AddRepository(fromTemplate(name, template))
	var exists *types.RepositoryAlreadyExistsException
	if err != nil && !errors.As(err, &exists) { // the layers of an image arrive together: another one was first
		return Repository{}, fmt.Errorf("create repository %s on push: %w", name, err)
	}
	return s.Repository(name)
}

// templateFor returns the create-on-push template with the longest prefix of
// name.
func (s *Service) templateFor(name string) (best types.RepositoryCreationTemplate, found bool, err error) {
	entries, err := s.templates.List("")
	if err != nil {
		return best, false, err
	}
	longest := -1
	for _, e := range entries {
		prefix := strings.TrimSuffix(e.Key, "/") + "/" // ECR takes the slash as said
		if e.Key == everyRepository {
			prefix = ""
		}
		if len(prefix) > longest && strings.HasPrefix(name, prefix) && slices.Contains(e.Value.AppliedFor, types.RCTAppliedForCreateOnPush) {
			best, found, longest = e.Value, true, len(prefix)
		}
	}
	return best, found, nil
}

func fromTemplate(name string, t types.RepositoryCreationTemplate) Repository {
	r := Repository{
		Repository: types.Repository{
			RepositoryName:                     &name,
			ImageTagMutability:                 t.ImageTagMutability,
			ImageTagMutabilityExclusionFilters: t.ImageTagMutabilityExclusionFilters,
		},
		LifecyclePolicyText: aws.ToString(t.LifecyclePolicy),
		PolicyText:          aws.ToString(t.RepositoryPolicy),
		Tags:                t.ResourceTags,
	}
	if e := t.EncryptionConfiguration; e != nil {
		r.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: e.EncryptionType, KmsKey: e.KmsKey}
	}
	return r
}
