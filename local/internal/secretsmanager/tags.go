package secretsmanager

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// maxTags is AWS's limit for a secret.
const maxTags = 50

// TagResource adds tags to a secret, or changes their values.
func (s *Service) TagResource(_ context.Context, in *sdk.TagResourceInput) (*sdk.TagResourceOutput, error) {
	_, err := s.change(aws.ToString(in.SecretId), func(found *secret) (err error) {
		found.Tags, err = withTags(found.Tags, in.Tags)
		return err
	})
	return &sdk.TagResourceOutput{}, err
}

// UntagResource removes tags from a secret. Keys that it does not have are
// ignored.
func (s *Service) UntagResource(_ context.Context, in *sdk.UntagResourceInput) (*sdk.UntagResourceOutput, error) {
	_, err := s.change(aws.ToString(in.SecretId), func(found *secret) error {
		found.Tags = slices.DeleteFunc(found.Tags, func(t types.Tag) bool { return slices.Contains(in.TagKeys, aws.ToString(t.Key)) })
		return nil
	})
	return &sdk.UntagResourceOutput{}, err
}

// withTags returns tags with the given ones, whose keys must differ.
func withTags(tags, given []types.Tag) ([]types.Tag, error) {
	all := slices.Clone(tags)
	for i, tag := range given {
		has := func(t types.Tag) bool { return aws.ToString(t.Key) == aws.ToString(tag.Key) }
		switch {
		case slices.ContainsFunc(given[:i], has):
			return nil, invalid("You can't use the same tag key twice: %s", aws.ToString(tag.Key))
		case strings.HasPrefix(strings.ToLower(aws.ToString(tag.Key)), "aws:"):
			return nil, invalid("Tag keys that begin with aws: are reserved: %s", aws.ToString(tag.Key))
		}
		all = append(slices.DeleteFunc(all, has), tag)
	}
	if len(all) > maxTags {
		return nil, invalid("A secret can have %d tags at most.", maxTags)
	}
	return all, nil
}
