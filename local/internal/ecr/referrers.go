package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// ListImageReferrers lists the images whose subject is the one given:
// signatures, attestations and the like.
func (s *Service) ListImageReferrers(_ context.Context, in *ecr.ListImageReferrersInput) (*ecr.ListImageReferrersOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if in.SubjectId == nil {
		return nil, invalid("Invalid parameter at 'subjectId': it is required")
	}
	referrers, err := s.referrers(*r.RepositoryName, aws.ToString(in.SubjectId.ImageDigest))
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(referrers, func(r types.ImageReferrer) string { return *r.Digest }, in.MaxResults, in.NextToken)
	return &ecr.ListImageReferrersOutput{Referrers: page, NextToken: next}, err
}

func (s *Service) referrers(repository, subject string) ([]types.ImageReferrer, error) {
	images, err := s.imagesOf(repository)
	if err != nil {
		return nil, err
	}
	var found []types.ImageReferrer
	for _, img := range images {
		if img.Subject == "" || img.Subject != subject {
			continue
		}
		m, err := parseManifest(img.MediaType, img.Manifest)
		if err != nil {
			return nil, err
		}
		found = append(found, types.ImageReferrer{
			Digest:         &img.Digest,
			MediaType:      &img.MediaType,
			Size:           aws.Int64(int64(len(img.Manifest))),
			ArtifactType:   aws.String(img.Kind),
			ArtifactStatus: types.ArtifactStatusActive,
			Annotations:    m.Annotations,
		})
	}
	return found, nil
}
