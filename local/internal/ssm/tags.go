package ssm

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// maxTags is AWS's limit for a parameter.
const maxTags = 50

// ListTagsForResource lists a parameter's tags by key.
func (s *Service) ListTagsForResource(_ context.Context, in *sdk.ListTagsForResourceInput) (*sdk.ListTagsForResourceOutput, error) {
	if err := checkTagged(in.ResourceType); err != nil {
		return nil, err
	}
	p, found, err := s.parameters.Get(s.nameOf(aws.ToString(in.ResourceId)))
	if err == nil && !found {
		err = invalidResourceID()
	}
	out := &sdk.ListTagsForResourceOutput{TagList: []types.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		out.TagList = append(out.TagList, types.Tag{Key: aws.String(key), Value: aws.String(p.Tags[key])})
	}
	return out, err
}

// AddTagsToResource adds tags to a parameter, or changes their values.
func (s *Service) AddTagsToResource(_ context.Context, in *sdk.AddTagsToResourceInput) (*sdk.AddTagsToResourceOutput, error) {
	return &sdk.AddTagsToResourceOutput{}, s.retag(in.ResourceType, in.ResourceId, func(tags map[string]string) (map[string]string, error) {
		return withTags(tags, in.Tags)
	})
}

// RemoveTagsFromResource removes tags from a parameter. Keys that it does not
// have are ignored.
func (s *Service) RemoveTagsFromResource(_ context.Context, in *sdk.RemoveTagsFromResourceInput) (*sdk.RemoveTagsFromResourceOutput, error) {
	return &sdk.RemoveTagsFromResourceOutput{}, s.retag(in.ResourceType, in.ResourceId, func(tags map[string]string) (map[string]string, error) {
		kept := maps.Clone(tags)
		for _, key := range in.TagKeys {
			delete(kept, key)
		}
		return kept, nil
	})
}

func (s *Service) retag(kind types.ResourceTypeForTagging, id *string, change func(map[string]string) (map[string]string, error)) error {
	if err := checkTagged(kind); err != nil {
		return err
	}
	_, err := s.parameters.Update(s.nameOf(aws.ToString(id)), func(p parameter, found bool) (_ parameter, err error) {
		if !found {
			return p, invalidResourceID()
		}
		p.Tags, err = change(p.Tags)
		return p, err
	})
	return err
}

// withTags returns tags with the given ones, whose keys must differ.
func withTags(tags map[string]string, given []types.Tag) (map[string]string, error) {
	all, seen := map[string]string{}, map[string]bool{}
	maps.Copy(all, tags)
	for _, tag := range given {
		key := aws.ToString(tag.Key)
		switch {
		case seen[key]:
			return nil, invalid("Duplicate tag key: %s", key)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, invalid("Tag keys that begin with aws: are reserved: %s", key)
		}
		seen[key], all[key] = true, aws.ToString(tag.Value)
	}
	if len(all) > maxTags {
		return nil, tooManyTags()
	}
	return all, nil
}

func checkTagged(kind types.ResourceTypeForTagging) error {
	if kind != types.ResourceTypeForTaggingParameter {
		return invalid("resourceType %s is not supported by the local engine: it has parameters only", kind)
	}
	return nil
}
