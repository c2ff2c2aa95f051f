package ecr

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// maxTags is AWS's limit for a repository.
const maxTags = 50

// ListTagsForResource lists a repository's tags. It knows the repository by its
// ARN.
func (s *Service) ListTagsForResource(_ context.Context, in *ecr.ListTagsForResourceInput) (*ecr.ListTagsForResourceOutput, error) {
	name, err := s.nameIn(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	r, err := s.Repository(name)
	return &ecr.ListTagsForResourceOutput{Tags: r.Tags}, err
}

// TagResource adds tags to a repository, or changes their values.
func (s *Service) TagResource(_ context.Context, in *ecr.TagResourceInput) (*ecr.TagResourceOutput, error) {
	return &ecr.TagResourceOutput{}, s.retag(in.ResourceArn, func(tags []types.Tag) ([]types.Tag, error) {
		return withTags(tags, in.Tags)
	})
}

// UntagResource removes tags from a repository. Keys that it does not have are
// ignored.
func (s *Service) UntagResource(_ context.Context, in *ecr.UntagResourceInput) (*ecr.UntagResourceOutput, error) {
	return &ecr.UntagResourceOutput{}, s.retag(in.ResourceArn, func(tags []types.Tag) ([]types.Tag, error) {
		return slices.DeleteFunc(slices.Clone(tags), func(t types.Tag) bool { return slices.Contains(in.TagKeys, aws.ToString(t.Key)) }), nil
	})
}

func (s *Service) retag(arn *string, change func([]types.Tag) ([]types.Tag, error)) error {
	name, err := s.nameIn(arn)
	if err != nil {
		return err
	}
	_, err = s.changeRepository(nil, &name, func(r *Repository) (err error) {
		r.Tags, err = change(r.Tags)
		return err
	})
	return err
}

// nameIn returns the name of the repository with an ARN.
func (s *Service) nameIn(arn *string) (string, error) {
	name, ok := strings.CutPrefix(aws.ToString(arn), s.ARN(""))
	if !ok {
		return "", invalid("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN': %s is not one of a repository here", aws.ToString(arn))
	}
	return name, nil
}

// withTags returns tags with the given ones, whose keys must differ.
func withTags(tags, given []types.Tag) ([]types.Tag, error) {
	all := slices.Clone(tags)
	for i, tag := range given {
		has := func(t types.Tag) bool { return aws.ToString(t.Key) == aws.ToString(tag.Key) }
		switch {
		case slices.ContainsFunc(given[:i], has):
			return nil, invalidTag("Duplicate tag key: %s", aws.ToString(tag.Key))
		case strings.HasPrefix(strings.ToLower(aws.ToString(tag.Key)), "aws:"):
			return nil, invalidTag("Tag keys that begin with aws: are reserved: %s", aws.ToString(tag.Key))
		}
		all = append(slices.DeleteFunc(all, has), tag)
	}
	if len(all) > maxTags {
		return nil, tooManyTags("A repository can have %d tags at most", maxTags)
	}
	return all, nil
}
