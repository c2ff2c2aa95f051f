package ecr

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// DescribeImages describes the images asked for, or all of a repository in
// pages of at most 100, oldest push first.
func (s *Service) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	images, tags, err := s.contents(*r.RepositoryName)
	if err != nil {
		return nil, err
	}
	if len(in.ImageIds) > 0 {
		details, err := describeByID(*r.RepositoryName, in.ImageIds, images, tags)
		return &ecr.DescribeImagesOutput{ImageDetails: details}, err
	}
	var status types.TagStatus
	if in.Filter != nil {
		status = in.Filter.TagStatus
	}
	var details []types.ImageDetail
	for _, img := range images {
		if hasStatus(status, tags[img.Digest]) {
			details = append(details, describeImage(img, tags[img.Digest]))
		}
	}
	page, next, err := pageOf(details, func(d types.ImageDetail) string { return *d.ImageDigest }, in.MaxResults, in.NextToken)
	return &ecr.DescribeImagesOutput{ImageDetails: page, NextToken: next}, err
}

// contents returns the images of a repository and their tags by digest.
func (s *Service) contents(repository string) ([]image, map[string][]string, error) {
	images, err := s.imagesOf(repository)
	if err != nil {
		return nil, nil, err
	}
	tags, err := s.tagsOf(repository)
	return images, tags, err
}

func describeByID(repository string, ids []types.ImageIdentifier, images []image, tags map[string][]string) ([]types.ImageDetail, error) {
	var details []types.ImageDetail
	for _, id := range ids {
		i := slices.IndexFunc(images, func(img image) bool { return matches(id, img, tags[img.Digest]) })
		if i < 0 {
			return nil, imageNotFound(
				"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
				orNull(id.ImageDigest), orNull(id.ImageTag), repository, iam.AccountID)
		}
		details = append(details, describeImage(images[i], tags[images[i].Digest]))
	}
	return details, nil
}

func matches(id types.ImageIdentifier, img image, tags []string) bool {
	if id.ImageDigest == nil && id.ImageTag == nil {
		return false
	}
	return (id.ImageDigest == nil || *id.ImageDigest == img.Digest) && (id.ImageTag == nil || slices.Contains(tags, *id.ImageTag))
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func hasStatus(status types.TagStatus, tags []string) bool {
	switch status {
	case types.TagStatusTagged:
		return len(tags) > 0
	case types.TagStatusUntagged:
		return len(tags) == 0
	}
	return true
}

func describeImage(img image, tags []string) types.ImageDetail {
	d := types.ImageDetail{
		RegistryId:             aws.String(iam.AccountID),
		RepositoryName:         &img.Repository,
		ImageDigest:            &img.Digest,
		ImageTags:              tags,
		ImageManifestMediaType: &img.MediaType,
		ImagePushedAt:          &img.PushedAt,
		ImageSizeInBytes:       &img.Size,
		ImageStatus:            types.ImageStatusActive,
	}
	if img.Kind != "" {
		d.ArtifactMediaType = &img.Kind
	}
	if img.Subject != "" {
		d.SubjectManifestDigest = &img.Subject
	}
	return d
}

// ListImages lists a repository's images, once for each tag, and once without
// one when untagged.
func (s *Service) ListImages(_ context.Context, in *ecr.ListImagesInput) (*ecr.ListImagesOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	images, tags, err := s.contents(*r.RepositoryName)
	if err != nil {
		return nil, err
	}
	var status types.TagStatus
	if in.Filter != nil {
		status = in.Filter.TagStatus
	}
	var ids []types.ImageIdentifier
	for _, img := range images {
		if hasStatus(status, tags[img.Digest]) {
			ids = append(ids, identifiers(img, tags[img.Digest])...)
		}
	}
	page, next, err := pageOf(ids, func(id types.ImageIdentifier) string { return *id.ImageDigest + aws.ToString(id.ImageTag) }, in.MaxResults, in.NextToken)
	return &ecr.ListImagesOutput{ImageIds: page, NextToken: next}, err
}

func identifiers(img image, tags []string) []types.ImageIdentifier {
	if len(tags) == 0 {
		return []types.ImageIdentifier{{ImageDigest: &img.Digest}}
	}
	ids := make([]types.ImageIdentifier, len(tags))
	for i, tag := range tags {
		ids[i] = types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: &tag}
	}
	return ids
}

// BatchGetImage returns the manifests of the images asked for; those it cannot
// find are in Failures.
func (s *Service) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput) (*ecr.BatchGetImageOutput, error) {
	r, err := s.lookUp(in.RegistryId, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchGetImageOutput{}
	for _, id := range in.ImageIds {
		img, failure, err := s.find(*r.RepositoryName, id)
		if err != nil {
			return nil, err
		}
		if failure == nil && len(in.AcceptedMediaTypes) > 0 && !slices.Contains(in.AcceptedMediaTypes, img.MediaType) {
			failure = fail(id, types.ImageFailureCodeImageNotFound, fmt.Sprintf("The image is a %s, which is not among the accepted media types", img.MediaType))
		}
		if failure != nil {
			out.Failures = append(out.Failures, *failure)
			continue
		}
		out.Images = append(out.Images, types.Image{
			RegistryId:             aws.String(iam.AccountID),
			RepositoryName:         r.RepositoryName,
			ImageId:                &types.ImageIdentifier{ImageDigest: &img.Digest, ImageTag: id.ImageTag},
			ImageManifest:          aws.String(string(img.Manifest)),
			ImageManifestMediaType: &img.MediaType,
		})
	}
	return out, nil
}

// find returns the image of id, or why there is none.
func (s *Service) find(repository string, id types.ImageIdentifier) (image, *types.ImageFailure, error) {
	reference := aws.ToString(id.ImageDigest)
	if id.ImageTag != nil {
		reference = *id.ImageTag
	}
	if reference == "" {
		return image{}, fail(id, types.ImageFailureCodeMissingDigestAndTag, "Invalid request parameters: both tag and digest cannot be null"), nil
	}
	img, found, err := s.resolve(repository, reference)
	switch {
	case err != nil:
		return image{}, nil, err
	case !found:
		return image{}, fail(id, types.ImageFailureCodeImageNotFound, "Requested image not found"), nil
	case id.ImageDigest != nil && *id.ImageDigest != img.Digest:
		return image{}, fail(id, types.ImageFailureCodeImageTagDoesNotMatchDigest, "Requested tag does not match the digest of the image"), nil
	}
	return img, nil, nil
}

func fail(id types.ImageIdentifier, code types.ImageFailureCode, reason string) *types.ImageFailure {
	return &types.ImageFailure{ImageId: &id, FailureCode: code, FailureReason: &reason}
}
