package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) newLogGroup() awslogs.ILogGroup {
	b.letLogsUseKey()
	props := &awslogs.LogGroupProps{
		LogGroupName:  b.props.LogGroupName,
		Retention:     b.props.LogRetention,
		RemovalPolicy: b.props.LogRemovalPolicy,
	}
	if key := b.props.LogEncryptionKey; key != nil {
		props.EncryptionKey = key
	}
	return awslogs.NewLogGroup(b, jsii.String("LogGroup"), props)
}

// letLogsUseKey lets CloudWatch Logs use the key for this log group only. It
// has no effect on a key of another app.
func (b *imageBuilder) letLogsUseKey() {
	if b.props.LogEncryptionKey == nil {
		return
	}
	service := awscdk.Fn_Join(jsii.String("."), &[]*string{jsii.String("logs"), awscdk.Aws_REGION(), awscdk.Aws_URL_SUFFIX()})
	b.props.LogEncryptionKey.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:    jsii.Strings("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"),
		Resources:  jsii.Strings("*"), // in a key's policy: the key
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(service, nil)},
		Conditions: &map[string]any{"ArnEquals": map[string]any{
			"kms:EncryptionContext:aws:logs:arn": b.logGroupARN(),
		}},
	}), jsii.Bool(true))
}

// logGroupARN is made of the name, because the group depends on its key.
func (b *imageBuilder) logGroupARN() *string {
	return awscdk.Stack_Of(b).FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String("logs"),
		Resource:     jsii.String("log-group"),
		ResourceName: b.props.LogGroupName,
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

func (b *imageBuilder) logsConfig() *awscodebuild.CfnProject_LogsConfigProperty {
	config := &awscodebuild.CfnProject_LogsConfigProperty{
		CloudWatchLogs: &awscodebuild.CfnProject_CloudWatchLogsConfigProperty{
			Status:    jsii.String("ENABLED"),
			GroupName: b.logGroup.LogGroupName(),
		},
	}
	if bucket := b.props.LogBucket; bucket != nil {
		config.S3Logs = &awscodebuild.CfnProject_S3LogsConfigProperty{
			Status:   jsii.String("ENABLED"),
			Location: bucket.ArnForObjects(b.props.ProjectName),
		}
	}
	return config
}

// allowLogBucket lets builds copy their logs.
func (b *imageBuilder) allowLogBucket() {
	bucket := b.props.LogBucket
	if bucket == nil {
		return
	}
	b.permit(
		allow([]*string{bucket.ArnForObjects(jsii.String(*b.props.ProjectName + "/*"))}, "s3:PutObject"),
		allow([]*string{bucket.BucketArn()}, "s3:GetBucketAcl", "s3:GetBucketLocation"),
	)
	b.permitKey(bucket.EncryptionKey(), "kms:Decrypt", "kms:GenerateDataKey")
}
