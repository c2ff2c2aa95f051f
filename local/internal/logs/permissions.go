package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs. A group
// that is created with tags takes that to tag it too.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	needs := iam.On(s.resources(input)...)
	if in, ok := input.(*cwl.CreateLogGroupInput); ok && len(in.Tags) > 0 {
		needs = append(needs, iam.Permission{Action: "logs:TagResource", Resource: needs[0].Resource})
	}
	return needs
}

// resources names what a call touches, for authorization. AWS writes the
// stream's part of the ARN even where a call names only the group.
func (s *Service) resources(input any) []string {
	one := func(name, identifier, stream *string) []string {
		group, err := s.groupName(name, identifier)
		if err != nil {
			return nil // the operation itself will say what is wrong
		}
		return []string{streamARN(s.Region, group, aws.ToString(stream))}
	}
	switch in := input.(type) {
	case *cwl.CreateLogGroupInput:
		return []string{GroupARN(s.Region, aws.ToString(in.LogGroupName))}
	case *cwl.CreateLogStreamInput:
		return one(in.LogGroupName, nil, in.LogStreamName)
	case *cwl.DeleteLogGroupInput:
		return one(in.LogGroupName, nil, nil)
	case *cwl.PutRetentionPolicyInput:
		return one(in.LogGroupName, nil, nil)
	case *cwl.DeleteRetentionPolicyInput:
		return one(in.LogGroupName, nil, nil)
	case *cwl.ListTagsForResourceInput:
		return []string{aws.ToString(in.ResourceArn)}
	case *cwl.TagResourceInput:
		return []string{aws.ToString(in.ResourceArn)}
	case *cwl.UntagResourceInput:
		return []string{aws.ToString(in.ResourceArn)}
	case *cwl.PutLogEventsInput:
		return one(in.LogGroupName, nil, in.LogStreamName)
	case *cwl.GetLogEventsInput:
		return one(in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	case *cwl.FilterLogEventsInput:
		return one(in.LogGroupName, in.LogGroupIdentifier, nil)
	case *cwl.DescribeLogStreamsInput:
		return one(in.LogGroupName, in.LogGroupIdentifier, nil)
	}
	return nil
}
