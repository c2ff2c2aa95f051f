package ecr

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// BatchDeleteImage deletes images by digest, with all their tags, or removes
// tags. An image whose last tag is removed is deleted. An image that an index
// lists is kept, and is in Failures. The space of layers is freed at the next
// start of the engine.
func (s *Service) BatchDeleteImage(_ context.Context, in *ecr.BatchDeleteImageInput) (*ecr.BatchDeleteImageOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	out := &ecr.BatchDeleteImageOutput{}
	for _, id := range in.ImageIds {
		deleted, failure, err := s.deleteByID(*r.RepositoryName, id)
		if err != nil {
			return nil, err
		}
		if failure != nil {
			out.Failures = append(out.Failures, *failure)
		}
		out.ImageIds = append(out.ImageIds, deleted...)
	}
	return out, nil
}

// deleteByID deletes an image or a tag and returns what was deleted. The caller
// holds s.writing.
func (s *Service) deleteByID(repository string, id types.ImageIdentifier) ([]types.ImageIdentifier, *types.ImageFailure, error) {
	img, failure, err := s.find(repository, id)
	if err != nil || failure != nil {
		return nil, failure, err
	}
	tags, err := s.tagsOf(repository)
	if err != nil {
		return nil, nil, err
	}
	if id.ImageTag != nil && len(tags[img.Digest]) > 1 {
		gone := []types.ImageIdentifier{{ImageDigest: &img.Digest, ImageTag: id.ImageTag}}
		return gone, nil, s.tags.Delete(tagKey(repository, *id.ImageTag))
	}
	index, err := s.indexListing(img)
	if err != nil {
		return nil, nil, err
	}
	if index != "" {
		return nil, fail(id, types.ImageFailureCodeImageReferencedByManifestList, "Requested image referenced by manifest list: ["+index+"]"), nil
	}
	return identifiers(img, tags[img.Digest]), nil, s.deleteImage(img)
}

// indexListing returns the digest of an index that lists img, empty when there
// is none.
func (s *Service) indexListing(img image) (string, error) {
	images, err := s.imagesOf(img.Repository)
	if err != nil {
		return "", err
	}
	for _, other := range images {
		m, err := parseManifest(other.MediaType, other.Manifest)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(m.Manifests, func(d descriptor) bool { return d.Digest == img.Digest }) {
			return other.Digest, nil
		}
	}
	return "", nil
}
