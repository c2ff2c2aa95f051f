package logs

import (
	"context"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// maxTags is AWS's limit for a log group.
const maxTags = 50

// retentions are the days for which a group can keep its events. Source:
// PutRetentionPolicy in the API reference.
var retentions = map[int32]bool{
	1: true, 3: true, 5: true, 7: true, 14: true, 30: true, 60: true, 90: true, 120: true, 150: true, 180: true, 365: true, 400: true, 545: true,
	731: true, 1096: true, 1827: true, 2192: true, 2557: true, 2922: true, 3288: true, 3653: true,
}

// DeleteLogGroup deletes a group with its streams and events.
func (s *Service) DeleteLogGroup(_ context.Context, in *cwl.DeleteLogGroupInput) (*cwl.DeleteLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if err := s.requireGroup(name); err != nil {
		return nil, err
	}
	return &cwl.DeleteLogGroupOutput{}, s.RemoveLogGroup(name)
}

// PutRetentionPolicy sets for how many days a group keeps its events. The
// engine applies it when it starts.
func (s *Service) PutRetentionPolicy(_ context.Context, in *cwl.PutRetentionPolicyInput) (*cwl.PutRetentionPolicyOutput, error) {
	days := aws.ToInt32(in.RetentionInDays)
	if !retentions[days] {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]", days)
	}
	return &cwl.PutRetentionPolicyOutput{}, s.changeGroup(in.LogGroupName, func(g *group) error {
		g.RetentionDays = days
		return nil
	})
}

// DeleteRetentionPolicy makes a group keep its events for ever.
func (s *Service) DeleteRetentionPolicy(_ context.Context, in *cwl.DeleteRetentionPolicyInput) (*cwl.DeleteRetentionPolicyOutput, error) {
	return &cwl.DeleteRetentionPolicyOutput{}, s.changeGroup(in.LogGroupName, func(g *group) error {
		g.RetentionDays = 0
		return nil
	})
}

// ListTagsForResource returns a group's tags. It knows the group by its ARN.
func (s *Service) ListTagsForResource(_ context.Context, in *cwl.ListTagsForResourceInput) (*cwl.ListTagsForResourceOutput, error) {
	name, err := s.nameIn(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	g, found, err := s.groups.Get(name)
	if err == nil && !found {
		err = noSuchGroup()
	}
	out := &cwl.ListTagsForResourceOutput{Tags: map[string]string{}}
	maps.Copy(out.Tags, g.Tags)
	return out, err
}

// TagResource adds tags to a group, or changes their values.
func (s *Service) TagResource(_ context.Context, in *cwl.TagResourceInput) (*cwl.TagResourceOutput, error) {
	name, err := s.nameIn(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &cwl.TagResourceOutput{}, s.changeGroup(&name, func(g *group) (err error) {
		g.Tags, err = withTags(g.Tags, in.Tags)
		return err
	})
}

// UntagResource removes tags from a group. Keys that it does not have are
// ignored.
func (s *Service) UntagResource(_ context.Context, in *cwl.UntagResourceInput) (*cwl.UntagResourceOutput, error) {
	name, err := s.nameIn(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &cwl.UntagResourceOutput{}, s.changeGroup(&name, func(g *group) error {
		for _, key := range in.TagKeys {
			delete(g.Tags, key)
		}
		return nil
	})
}

// PutTags sets a group's tags, replacing the ones before.
func (s *Service) PutTags(name string, tags map[string]string) error {
	return s.changeGroup(&name, func(g *group) error {
		g.Tags = tags
		return nil
	})
}

// nameIn returns the name of the group with an ARN, which must not end in ":*".
func (s *Service) nameIn(arn *string) (string, error) {
	name, ok := strings.CutPrefix(aws.ToString(arn), GroupARN(s.Region, ""))
	if !ok || !groupForm().MatchString(name) {
		return "", invalid("The specified resourceArn is not valid: %s is not that of a log group here, without :* at its end", aws.ToString(arn))
	}
	return name, nil
}

func (s *Service) changeGroup(name *string, change func(*group) error) error {
	_, err := s.groups.Update(aws.ToString(name), func(g group, found bool) (group, error) {
		if !found {
			return g, noSuchGroup()
		}
		err := change(&g)
		return g, err
	})
	return err
}

// withTags returns tags with the given ones.
func withTags(tags, given map[string]string) (map[string]string, error) {
	all := map[string]string{}
	maps.Copy(all, tags)
	maps.Copy(all, given)
	for key := range given {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved: %s", key)
		}
	}
	if len(all) > maxTags {
		return nil, tooManyTags("A log group can have %d tags at most.", maxTags)
	}
	return all, nil
}
