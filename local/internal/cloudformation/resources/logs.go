package resources

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwltypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// LogGroups is what the log group provider needs of the engine's CloudWatch
// Logs.
type LogGroups interface {
	DescribeLogGroups(context.Context, *cwl.DescribeLogGroupsInput) (*cwl.DescribeLogGroupsOutput, error)
	PutLogGroup(name string, retentionDays int32) error
	PutTags(name string, tags map[string]string) error
	RemoveLogGroup(name string) error
}

// logGroupProvider is AWS::Logs::LogGroup.
type logGroupProvider struct {
	groups  LogGroups
	region  string
	account string
}

func (logGroupProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"Arn"},
		Properties: map[string]Property{
			"DataProtectionPolicy": {Kind: JSON, Refused: "it does not look for sensitive data in logs"},
			"KmsKeyId":             {Inert: "the state directory is readable by its owner only; there is no KMS"},
			"LogGroupClass":        {Values: []string{"STANDARD"}},
			"LogGroupName":         {CreateOnly: true},
			"RetentionInDays":      {Kind: Integer},
			"Tags":                 tagList,
		},
	}
}

func (p logGroupProvider) Create(ctx context.Context, r Request) (Resource, error) {
	name := r.Name("LogGroupName", 512)
	exists, err := p.exists(ctx, name)
	if err != nil {
		return Resource{}, err
	}
	if exists {
		return Resource{}, alreadyExists("log group", name)
	}
	return p.Update(ctx, r, name)
}

func (p logGroupProvider) exists(ctx context.Context, name string) (bool, error) {
	out, err := p.groups.DescribeLogGroups(ctx, &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(out.LogGroups, func(g cwltypes.LogGroup) bool { return aws.ToString(g.LogGroupName) == name }), nil
}

func (p logGroupProvider) Existing(ctx context.Context, r Request) (string, bool, error) {
	return existing(r.String("LogGroupName"), func(name string) (bool, error) { return p.exists(ctx, name) })
}

func (p logGroupProvider) Update(_ context.Context, r Request, name string) (Resource, error) {
	days, _ := r.Properties["RetentionInDays"].(float64)
	if err := p.groups.PutLogGroup(name, int32(days)); err != nil {
		return Resource{}, err
	}
	if err := p.groups.PutTags(name, tagMap(r.Properties["Tags"])); err != nil {
		return Resource{}, err
	}
	arn := fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s:*", p.region, p.account, name)
	return Resource{PhysicalID: name, Attributes: map[string]any{"Arn": arn}}, nil
}

func (p logGroupProvider) Delete(_ context.Context, _ Request, name string) error {
	return p.groups.RemoveLogGroup(name)
}
