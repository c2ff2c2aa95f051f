package local_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild/local"
)

// tooMany returns 51 tags, one more than AWS allows.
func tooMany[T any](tag func(key string) T) (all []T) {
	for i := range 51 {
		all = append(all, tag(fmt.Sprint(i)))
	}
	return all
}

func TestRepositoriesAreChanged(t *testing.T) {
	client := ecr.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx, name := t.Context(), aws.String("app")
	tag := func(key string) ecrtypes.Tag { return ecrtypes.Tag{Key: &key, Value: aws.String("v")} }
	made, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name, Tags: []ecrtypes.Tag{tag("a")}})
	must(t, err)
	arn := made.Repository.RepositoryArn

	_, err = client.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: name, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable})
	must(t, err)
	_, err = client.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RepositoryName: name, ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: true},
	})
	must(t, err)
	_, err = client.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: []ecrtypes.Tag{tag("b"), tag("c")}})
	must(t, err)
	_, err = client.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "z"}})
	must(t, err)
	found, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}})
	must(t, err)
	tags, err := client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: arn})
	must(t, err)
	got := fmt.Sprint(found.Repositories[0].ImageTagMutability, found.Repositories[0].ImageScanningConfiguration.ScanOnPush, found.Repositories[0].CreatedAt.Equal(*made.Repository.CreatedAt))
	for _, tag := range tags.Tags {
		got += *tag.Key + *tag.Value
	}
	if want := "IMMUTABLEtrue truebvcv"; got != want {
		t.Errorf("the repository is %q, want %q", got, want)
	}

	_, err = client.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutableWithExclusion})
	wantCode(t, err, "InvalidParameterException", "imageTagMutabilityExclusionFilters")
	_, err = client.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("none"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable})
	wantCode(t, err, "RepositoryNotFoundException", "'none'")
	_, err = client.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: tooMany(tag)})
	wantCode(t, err, "TooManyTagsException", "")
	_, err = client.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: []ecrtypes.Tag{tag("x"), tag("x")}})
	wantCode(t, err, "InvalidTagParameterException", "x")
	_, err = client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), Tags: []ecrtypes.Tag{tag("aws:x")}})
	wantCode(t, err, "InvalidTagParameterException", "aws:x")
}

func TestLogGroupsAreChangedAndDeleted(t *testing.T) {
	client := cloudwatchlogs.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx, name := t.Context(), aws.String("/team/builds")
	_, err := client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: name, Tags: map[string]string{"a": "1", "b": "2"}})
	must(t, err)
	group := func() string {
		t.Helper()
		out, err := client.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: name})
		must(t, err)
		tags, err := client.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: out.LogGroups[0].LogGroupArn})
		must(t, err)
		return fmt.Sprint(aws.ToInt32(out.LogGroups[0].RetentionInDays), tags.Tags)
	}
	arn := aws.String("arn:aws:logs:us-east-1:000000000000:log-group:/team/builds")
	_, err = client.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(30)})
	must(t, err)
	_, err = client.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"b": "3", "c": "4"}})
	must(t, err)
	_, err = client.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "z"}})
	must(t, err)
	if got, want := group(), "30 map[b:3 c:4]"; got != want {
		t.Errorf("the group has %q, want %q", got, want)
	}
	_, err = client.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: name})
	must(t, err)
	if got, want := group(), "0 map[b:3 c:4]"; got != want {
		t.Errorf("the group has %q, want %q", got, want)
	}

	_, err = client.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(31)})
	wantCode(t, err, "InvalidParameterException", "'31' at 'retentionInDays'")
	many := map[string]string{}
	for _, key := range tooMany(func(key string) string { return key })[1:] {
		many[key] = ""
	}
	_, err = client.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: many})
	wantCode(t, err, "TooManyTagsException", "")
	_, err = client.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(*arn + ":*"), Tags: map[string]string{"a": "b"}})
	wantCode(t, err, "InvalidParameterException", ":*")
	_, err = client.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: name})
	must(t, err)
	_, err = client.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: name})
	wantCode(t, err, "ResourceNotFoundException", "log group does not exist")
	_, err = client.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn})
	wantCode(t, err, "ResourceNotFoundException", "log group does not exist")
}

func TestSecretsAreTagged(t *testing.T) {
	client := secretsmanager.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx, id := t.Context(), aws.String("login")
	tag := func(key string) smtypes.Tag { return smtypes.Tag{Key: &key, Value: aws.String("v")} }
	_, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("x"), Tags: []smtypes.Tag{tag("a"), tag("b")}})
	must(t, err)
	_, err = client.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: id, Tags: []smtypes.Tag{{Key: aws.String("b"), Value: aws.String("w")}, tag("c")}})
	must(t, err)
	_, err = client.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: id, TagKeys: []string{"a", "z"}})
	must(t, err)
	found, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
	must(t, err)
	got := ""
	for _, tag := range found.Tags {
		got += *tag.Key + *tag.Value
	}
	if got != "bwcv" {
		t.Errorf("the tags are %q", got)
	}
	_, err = client.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: id, Tags: tooMany(tag)})
	wantCode(t, err, "InvalidParameterException", "50")
	_, err = client.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: id, Tags: []smtypes.Tag{tag("x"), tag("x")}})
	wantCode(t, err, "InvalidParameterException", "x")
	_, err = client.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("none"), Tags: []smtypes.Tag{tag("x")}})
	wantCode(t, err, "ResourceNotFoundException", "")
	_, err = client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id})
	must(t, err)
	_, err = client.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: id, TagKeys: []string{"b"}})
	wantCode(t, err, "InvalidRequestException", "marked for deletion")
}

func TestBucketsAreMadeAndDeleted(t *testing.T) {
	for region, location := range map[string]string{"us-east-1": "", "eu-central-1": "eu-central-1"} {
		t.Run(region, func(t *testing.T) {
			client := buckets(run(t, local.Options{Dir: t.TempDir(), Region: region}).Endpoint().Config())
			ctx, name := t.Context(), aws.String("team-uploads")
			create := func(name, location string) error {
				in := &s3.CreateBucketInput{Bucket: &name}
				if location != "" {
					in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(location)}
				}
				_, err := client.CreateBucket(ctx, in)
				return err
			}
			wantCode(t, create(*name, "eu-west-3"), "IllegalLocationConstraintException", "eu-west-3")
			wantCode(t, create("a..b", location), "InvalidBucketName", "a..b")
			must(t, create(*name, location))
			again := create(*name, location)
			if region == "us-east-1" {
				must(t, again)
				wantCode(t, create("other", "us-east-1"), "InvalidLocationConstraint", "us-east-1")
			} else {
				wantCode(t, again, "BucketAlreadyOwnedByYou", "")
				wantCode(t, create("other", ""), "IllegalLocationConstraintException", "unspecified")
			}

			_, err := client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name})
			wantCode(t, err, "NoSuchTagSet", "")
			tag := func(key string) s3types.Tag { return s3types.Tag{Key: &key, Value: aws.String("v")} }
			_, err = client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &s3types.Tagging{TagSet: []s3types.Tag{tag("a"), tag("b")}}})
			must(t, err)
			_, err = client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &s3types.Tagging{TagSet: tooMany(tag)}})
			wantCode(t, err, "BadRequest", "50")
			_, err = client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &s3types.Tagging{TagSet: []s3types.Tag{tag("c"), tag("c")}}})
			wantCode(t, err, "InvalidTag", "c")
			tags, err := client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name})
			must(t, err)
			if len(tags.TagSet) != 2 || *tags.TagSet[1].Key != "b" {
				t.Errorf("the tags are %+v", tags.TagSet)
			}
			_, err = client.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: name})
			must(t, err)
			_, err = client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name})
			wantCode(t, err, "NoSuchTagSet", "")

			deleteWithObjects(t, client, name)
			_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
			wantCode(t, err, "NoSuchBucket", "")
		})
	}
}

func buckets(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// deleteWithObjects deletes a bucket as those do who force it: by the versions
// of its objects.
func deleteWithObjects(t *testing.T, client *s3.Client, bucket *string) {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"a b", "c/d", "c/e"} {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("text")})
		must(t, err)
	}
	_, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	wantCode(t, err, "BucketNotEmpty", "")
	var versions []s3types.ObjectIdentifier
	got := ""
	for pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(2)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		must(t, err)
		for _, v := range page.Versions {
			versions = append(versions, s3types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
			got += fmt.Sprint(*v.Key, " ", *v.VersionId, " ", *v.IsLatest, " ", *v.Size, "; ")
		}
		got += fmt.Sprint(len(page.Versions), ". ")
	}
	if want := "a b null true 4; c/d null true 4; 2. c/e null true 4; 1. "; got != want {
		t.Errorf("the versions are %q, want %q", got, want)
	}
	_, err = client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &s3types.Delete{Objects: versions}})
	must(t, err)
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	must(t, err)
}

// Every change needs its permission, on its resource: a role that has another
// one is refused by name.
func TestChangesNeedPermission(t *testing.T) {
	cfg := run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config()
	roles := iam.NewFromConfig(cfg)
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}]}`)})
	must(t, err)
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("create"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["*:Create*","*:Describe*","*:List*"],"Resource":"*"}]}`)})
	must(t, err)
	as := cfg.Copy()
	as.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), *role.Role.Arn))
	registry, logs, secrets, objects := ecr.NewFromConfig(as), cloudwatchlogs.NewFromConfig(as), secretsmanager.NewFromConfig(as), buckets(as)
	_, err = buckets(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("team")})
	must(t, err)

	const repository, group = "arn:aws:ecr:us-east-1:000000000000:repository/team", "arn:aws:logs:us-east-1:000000000000:log-group:team"
	name, tagged := aws.String("team"), map[string]string{"a": "b"}
	repositoryTags := []ecrtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
	secretTags := []smtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
	for need, call := range map[string]func(context.Context) error{
		"ecr:PutImageTagMutability on resource: " + repository: func(ctx context.Context) error {
			_, err := registry.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: name, ImageTagMutability: "MUTABLE"})
			return err
		},
		"ecr:PutImageScanningConfiguration on resource: " + repository: func(ctx context.Context) error {
			_, err := registry.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{RepositoryName: name, ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{}})
			return err
		},
		"ecr:TagResource on resource: " + repository: func(ctx context.Context) error {
			_, err := registry.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name, Tags: repositoryTags})
			return err
		},
		"ecr:UntagResource on resource: " + repository: func(ctx context.Context) error {
			_, err := registry.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: aws.String(repository), TagKeys: []string{"a"}})
			return err
		},
		"logs:TagResource on resource: " + group: func(ctx context.Context) error {
			_, err := logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: name, Tags: tagged})
			return err
		},
		"logs:UntagResource on resource: " + group: func(ctx context.Context) error {
			_, err := logs.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: aws.String(group), TagKeys: []string{"a"}})
			return err
		},
		"logs:DeleteLogGroup on resource: " + group: func(ctx context.Context) error {
			_, err := logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: name})
			return err
		},
		"logs:PutRetentionPolicy on resource: " + group: func(ctx context.Context) error {
			_, err := logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(1)})
			return err
		},
		"logs:DeleteRetentionPolicy on resource: " + group: func(ctx context.Context) error {
			_, err := logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: name})
			return err
		},
		"secretsmanager:TagResource on resource: arn:aws:secretsmanager:us-east-1:000000000000:secret:team": func(ctx context.Context) error {
			_, err := secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: name, Tags: secretTags})
			return err
		},
		"secretsmanager:UntagResource on resource: arn:aws:secretsmanager:us-east-1:000000000000:secret:team": func(ctx context.Context) error {
			_, err := secrets.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: name, TagKeys: []string{"a"}})
			return err
		},
		"s3:PutBucketTagging on resource: arn:aws:s3:::team": func(ctx context.Context) error {
			_, err := objects.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: name})
			return err
		},
		"s3:GetBucketPolicy on resource: arn:aws:s3:::team": func(ctx context.Context) error {
			_, err := objects.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: name})
			return err
		},
		"s3:DeleteBucket on resource: arn:aws:s3:::team": func(ctx context.Context) error {
			_, err := objects.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
			return err
		},
	} {
		err := call(t.Context())
		if err == nil || !strings.Contains(err.Error(), "is not authorized to perform: "+need) {
			t.Errorf("without %s: %v", need, err)
		}
	}
	if out, err := registry.DescribeRepositories(t.Context(), nil); err != nil || len(out.Repositories) > 0 {
		t.Errorf("a repository was created without the permission to tag it: %+v, %v", out, err)
	}
}
