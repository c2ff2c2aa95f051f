package iamapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// TagRole adds tags to a role, or changes their values.
func (s *Service) TagRole(_ context.Context, in *sdk.TagRoleInput) (*sdk.TagRoleOutput, error) {
	return &sdk.TagRoleOutput{}, s.change(in.RoleName, func(role *iam.Role) (err error) {
		role.Tags, err = withTags(role.Tags, in.Tags)
		return err
	})
}

// UntagRole removes tags from a role. Keys that it does not have are ignored.
func (s *Service) UntagRole(_ context.Context, in *sdk.UntagRoleInput) (*sdk.UntagRoleOutput, error) {
	return &sdk.UntagRoleOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		for _, key := range in.TagKeys {
			delete(role.Tags, key)
		}
		return nil
	})
}

// ListRoleTags lists a role's tags by key.
func (s *Service) ListRoleTags(_ context.Context, in *sdk.ListRoleTagsInput) (*sdk.ListRoleTagsOutput, error) {
	role, err := s.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	tags, next, err := pageOf(tagList(role.Tags), func(t types.Tag) string { return *t.Key }, in.MaxItems, in.Marker)
	return &sdk.ListRoleTagsOutput{Tags: tags, Marker: next, IsTruncated: next != nil}, err
}

// withTags returns tags with the given ones. IAM compares keys without regard
// to case.
func withTags(tags map[string]string, given []types.Tag) (map[string]string, error) {
	all, seen := map[string]string{}, map[string]bool{}
	maps.Copy(all, tags)
	for _, tag := range given {
		key := aws.ToString(tag.Key)
		if seen[strings.ToLower(key)] {
			return nil, failure("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[strings.ToLower(key)] = true
		maps.DeleteFunc(all, func(old, _ string) bool { return strings.EqualFold(old, key) })
		all[key] = aws.ToString(tag.Value)
	}
	if len(all) > maxTags {
		return nil, failure("LimitExceeded", "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	return all, nil
}

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}
