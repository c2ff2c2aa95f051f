package ecr

import (
	"path"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A Repository is a repository's settings. Only RepositoryName is required:
// tags are mutable, encryption is AES256 and nothing is scanned by default. The
// texts are kept as they are, for whoever asks; the engine does not act on
// them.
type Repository struct {
	types.Repository
	LifecyclePolicyText string // the JSON of a lifecycle policy; empty for none
	PolicyText          string // the JSON of a repository policy; empty for none
	Tags                []types.Tag
}

// repositoryName is the form that ECR's API model requires, 2 to 256 characters
// long.
var repositoryName = lazyregexp.New(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (r Repository) validate() error {
	name := aws.ToString(r.RepositoryName)
	if len(name) < 2 || len(name) > 256 || !repositoryName().MatchString(name) {
		return invalid("Invalid parameter at 'repositoryName' failed to satisfy constraint: %q must be 2 to 256 characters and satisfy regular expression '%s'", name, repositoryName())
	}
	if !slices.Contains(r.ImageTagMutability.Values(), r.ImageTagMutability) {
		return invalid("Invalid parameter at 'imageTagMutability': %q is not one of %v", r.ImageTagMutability, r.ImageTagMutability.Values())
	}
	excludes := r.ImageTagMutability == types.ImageTagMutabilityImmutableWithExclusion || r.ImageTagMutability == types.ImageTagMutabilityMutableWithExclusion
	if excludes != (len(r.ImageTagMutabilityExclusionFilters) > 0) {
		return invalid("imageTagMutabilityExclusionFilters go with the imageTagMutability IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION, and only with these; it is %s with %d filters", r.ImageTagMutability, len(r.ImageTagMutabilityExclusionFilters))
	}
	return checkLifecyclePolicy(r.LifecyclePolicyText)
}

func (r *Repository) setDefaults() {
	if r.ImageTagMutability == "" {
		r.ImageTagMutability = types.ImageTagMutabilityMutable
	}
	if r.EncryptionConfiguration == nil {
		r.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256}
	}
	if r.ImageScanningConfiguration == nil {
		r.ImageScanningConfiguration = &types.ImageScanningConfiguration{}
	}
}

// tagIsImmutable reports whether tag, once given to an image, stays with it.
func (r Repository) tagIsImmutable(tag string) bool {
	excluded := slices.ContainsFunc(r.ImageTagMutabilityExclusionFilters, func(f types.ImageTagMutabilityExclusionFilter) bool {
		matched, _ := path.Match(aws.ToString(f.Filter), tag) // tags have no slash: * is any text, as in ECR's filters
		return matched
	})
	switch r.ImageTagMutability {
	case types.ImageTagMutabilityImmutable:
		return true
	case types.ImageTagMutabilityImmutableWithExclusion:
		return !excluded
	case types.ImageTagMutabilityMutableWithExclusion:
		return excluded
	}
	return false
}

// AddRepository creates a repository. It returns
// RepositoryAlreadyExistsException if the name is taken.
func (s *Service) AddRepository(r Repository) (types.Repository, error) {
	return s.writeRepository(r, func(name string, found bool) error {
		if found {
			return repositoryAlreadyExists(
				"The repository with name '%s' already exists in the registry with id '%s'", name, iam.AccountID)
		}
		return nil
	})
}

// PutRepository creates a repository, or replaces the settings of the
// repository of that name and keeps its images.
func (s *Service) PutRepository(r Repository) (types.Repository, error) {
	return s.writeRepository(r, func(string, bool) error { return nil })
}

func (s *Service) writeRepository(r Repository, allow func(name string, found bool) error) (types.Repository, error) {
	r.setDefaults()
	if err := r.validate(); err != nil {
		return types.Repository{}, err
	}
	name := *r.RepositoryName
	stored, err := s.repositories.Update(name, func(old Repository, found bool) (Repository, error) {
		r.CreatedAt = old.CreatedAt
		if !found {
			r.CreatedAt = aws.Time(s.Clock.Now().UTC().Truncate(time.Millisecond))
		}
		return r, allow(name, found)
	})
	return s.describe(stored), err
}

// changeRepository changes the settings of the repository called name, which
// must exist.
func (s *Service) changeRepository(registryID, name *string, change func(*Repository) error) (Repository, error) {
	if _, err := s.lookUp(registryID, name); err != nil {
		return Repository{}, err
	}
	changed, err := s.repositories.Update(*name, func(r Repository, found bool) (Repository, error) {
		if !found { // any more
			return r, noRepository(*name, iam.AccountID)
		}
		err := change(&r)
		return r, err
	})
	changed.Repository = s.describe(changed)
	return changed, err
}

// describe returns the API's view of a repository. What depends on the engine's
// address is never stored.
func (s *Service) describe(r Repository) types.Repository {
	name := aws.ToString(r.RepositoryName)
	r.RegistryId = aws.String(iam.AccountID)
	r.RepositoryArn = aws.String(s.ARN(name))
	r.RepositoryUri = aws.String(s.Host + "/" + name)
	return r.Repository
}

// Repository returns the repository called name, or a
// RepositoryNotFoundException.
func (s *Service) Repository(name string) (Repository, error) { return s.lookUp(nil, &name) }

// lookUp finds a repository by the parameters that most operations have.
func (s *Service) lookUp(registryID, name *string) (Repository, error) {
	registry := iam.AccountID
	if registryID != nil {
		registry = *registryID
	}
	r, found, err := s.repositories.Get(aws.ToString(name))
	if err != nil {
		return r, err
	}
	if !found || registry != iam.AccountID {
		return r, noRepository(aws.ToString(name), registry)
	}
	r.Repository = s.describe(r)
	return r, nil
}

func noRepository(name, registry string) error {
	return repositoryNotFound("The repository with name '%s' does not exist in the registry with id '%s'", name, registry)
}

// RemoveRepository deletes a repository; with images in it only when force is
// set, else it fails with RepositoryNotEmptyException. The space of its layers
// is freed when the engine starts next.
func (s *Service) RemoveRepository(name string, force bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.Repository(name); err != nil {
		return err
	}
	images, err := s.images.List(name + "@")
	if err != nil {
		return err
	}
	if len(images) > 0 && !force {
		return repositoryNotEmpty(
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", name, iam.AccountID)
	}
	for _, e := range images {
		if err := s.deleteImage(e.Value); err != nil {
			return err
		}
	}
	if err := s.layers.forget(name); err != nil {
		return err
	}
	return s.repositories.Delete(name)
}
