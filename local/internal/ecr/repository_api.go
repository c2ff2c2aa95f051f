package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// CreateRepository creates a repository.
func (s *Service) CreateRepository(_ context.Context, in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := s.AddRepository(Repository{
		Repository: types.Repository{
			RepositoryName:                     in.RepositoryName,
			EncryptionConfiguration:            in.EncryptionConfiguration,
			ImageScanningConfiguration:         in.ImageScanningConfiguration,
			ImageTagMutability:                 in.ImageTagMutability,
			ImageTagMutabilityExclusionFilters: in.ImageTagMutabilityExclusionFilters,
		},
		Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &ecr.CreateRepositoryOutput{Repository: &r}, nil
}

// DeleteRepository deletes a repository; with images in it only when Force is
// set.
func (s *Service) DeleteRepository(_ context.Context, in *ecr.DeleteRepositoryInput) (*ecr.DeleteRepositoryOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if err := s.RemoveRepository(*r.RepositoryName, in.Force); err != nil {
		return nil, err
	}
	return &ecr.DeleteRepositoryOutput{Repository: &r.Repository}, nil
}

// DescribeRepositories describes the repositories asked for by name, or all of
// them in pages of at most 100.
func (s *Service) DescribeRepositories(_ context.Context, in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
	if len(in.RepositoryNames) > 0 {
		return s.describeRepositories(in.RegistryId, in.RepositoryNames)
	}
	entries, err := s.repositories.List("")
	if err != nil {
		return nil, err
	}
	all := make([]types.Repository, len(entries))
	for i, e := range entries {
		all[i] = s.describe(e.Value)
	}
	page, next, err := pageOf(all, func(r types.Repository) string { return *r.RepositoryName }, in.MaxResults, in.NextToken)
	return &ecr.DescribeRepositoriesOutput{Repositories: page, NextToken: next}, err
}

func (s *Service) describeRepositories(registryID *string, names []string) (*ecr.DescribeRepositoriesOutput, error) {
	out := &ecr.DescribeRepositoriesOutput{}
	for _, name := range names {
		r, err := s.lookUp(registryID, &name)
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, r.Repository)
	}
	return out, nil
}

// PutImageTagMutability changes whether a repository's tags can be moved.
func (s *Service) PutImageTagMutability(_ context.Context, in *ecr.PutImageTagMutabilityInput) (*ecr.PutImageTagMutabilityOutput, error) {
	r, err := s.changeRepository(in.RegistryId, in.RepositoryName, func(r *Repository) error {
		r.ImageTagMutability, r.ImageTagMutabilityExclusionFilters = in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters
		return r.validate()
	})
	return &ecr.PutImageTagMutabilityOutput{
		RegistryId: r.RegistryId, RepositoryName: r.RepositoryName, ImageTagMutability: r.ImageTagMutability,
		ImageTagMutabilityExclusionFilters: r.ImageTagMutabilityExclusionFilters,
	}, err
}

// PutImageScanningConfiguration changes whether images are to be scanned when
// they are pushed. The engine keeps the setting and scans nothing.
func (s *Service) PutImageScanningConfiguration(_ context.Context, in *ecr.PutImageScanningConfigurationInput) (*ecr.PutImageScanningConfigurationOutput, error) {
	r, err := s.changeRepository(in.RegistryId, in.RepositoryName, func(r *Repository) error {
		r.ImageScanningConfiguration = in.ImageScanningConfiguration
		return nil
	})
	return &ecr.PutImageScanningConfigurationOutput{RegistryId: r.RegistryId, RepositoryName: r.RepositoryName, ImageScanningConfiguration: r.ImageScanningConfiguration}, err
}
