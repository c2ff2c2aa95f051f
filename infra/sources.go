package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
)

// newSourceBucket adds the bucket for uploaded directories. It is retained,
// because only an empty bucket can be deleted, and emptying it would take a
// custom resource. Its objects expire, so the retained bucket becomes empty and
// costs nothing.
func (b *imageBuilder) newSourceBucket() awss3.IBucket {
	encryption := awss3.BucketEncryption_S3_MANAGED
	if b.props.EncryptionKey != nil {
		encryption = awss3.BucketEncryption_KMS
	}
	props := &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		Encryption:        encryption,
		EncryptionKey:     b.props.EncryptionKey,
		BucketKeyEnabled:  b.bucketKey(),
		EnforceSSL:        jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
		LifecycleRules: &[]*awss3.LifecycleRule{
			{
				Id:         jsii.String("ExpireSources"),
				Prefix:     jsii.String(sourcePrefix),
				Expiration: b.props.SourceExpiry,
			},
			{
				Id:                                  jsii.String("AbortUploads"),
				AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
			},
		},
	}
	if logs := b.props.SourceAccessLogBucket; logs != nil {
		props.ServerAccessLogsBucket = logs
		props.ServerAccessLogsPrefix = jsii.String(*b.props.ProjectName + "/")
	}
	bucket := awss3.NewBucket(b, jsii.String("SourceBucket"), props)
	bucket.AddToResourcePolicy(denyOverwriting(bucket))
	return bucket
}

// denyOverwriting denies everybody, administrators too, to replace an upload: a
// build may be about to read it. Writes need If-None-Match; the first steps of
// an upload in parts take none, and are no creation yet (Amazon S3 user guide,
// "Enforce conditional writes on Amazon S3 buckets").
func denyOverwriting(bucket awss3.IBucket) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings("s3:PutObject"),
		Resources:  &[]*string{bucket.ArnForObjects(jsii.String(sourcePrefix + "*"))},
		Conditions: &map[string]any{
			"Null": map[string]any{"s3:if-none-match": "true"},
			"Bool": map[string]any{"s3:ObjectCreationOperation": "true"},
		},
	})
}

// bucketKey lets S3 call KMS once for many objects, which costs less.
func (b *imageBuilder) bucketKey() *bool {
	if b.props.EncryptionKey == nil {
		return nil
	}
	return jsii.Bool(true)
}
