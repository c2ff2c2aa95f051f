package ecr

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// client returns the SDK's client of a build whose role may do actions on
// resources.
func (b *bench) client(actions []string, resources ...string) *ecr.Client {
	b.t.Helper()
	b.role(actions, resources...)
	session, err := b.iam.AssumeRole(iam.Assumption{RoleARN: iam.RoleARN("/", "build"), Session: "s", Service: iam.CodeBuild, TTL: time.Hour})
	b.check(err)
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, JSON: []wire.JSONService{
		{Name: "ecr", TargetPrefix: "AmazonEC2ContainerRegistry_V20150921", Service: b.ecr},
	}}))
	b.t.Cleanup(server.Close)
	return ecr.New(ecr.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, HTTPClient: wire.NewHTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(session.Credentials.AccessKeyID, session.Credentials.SecretAccessKey, session.Credentials.SessionToken),
	})
}

// The script uses these calls to find out whether a push can succeed. They must
// not return more than ECR does.
func TestDescribingTakesPermissionForTheRepository(t *testing.T) {
	b := newBench(t)
	b.repository("team/app", func(r *Repository) { r.ImageTagMutability = types.ImageTagMutabilityImmutable })
	b.repository("other")
	img, _ := randomImage(t)
	b.check(b.push(b.login(root()), "team/app:1", img))
	client := b.client([]string{"ecr:DescribeRepositories", "ecr:DescribeImages"}, b.ecr.ARN("team/*"))
	ctx := context.Background()
	described := func(names ...string) error {
		out, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: names})
		if err == nil && out.Repositories[0].ImageTagMutability != types.ImageTagMutabilityImmutable {
			t.Errorf("%q: tags are %s", names, out.Repositories[0].ImageTagMutability)
		}
		return err
	}
	tagged := func(repository, tag string) error {
		_, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &repository, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String(tag)}}})
		return err
	}
	for _, test := range []struct {
		call string
		err  error
		want string // the code of the error; empty for none
	}{
		{"a repository", described("team/app"), ""},
		{"one that is missing", described("team/none"), "RepositoryNotFoundException"},
		{"somebody else's", described("other"), "AccessDeniedException"},
		{"somebody else's, besides", described("team/app", "other"), "AccessDeniedException"},
		{"somebody else's that is missing", described("none"), "AccessDeniedException"},
		{"all of them", described(), "AccessDeniedException"},
		{"a tag", tagged("team/app", "1"), ""},
		{"a tag that is free", tagged("team/app", "2"), "ImageNotFoundException"},
		{"a tag of a repository that is missing", tagged("team/none", "1"), "RepositoryNotFoundException"},
		{"a tag of somebody else's", tagged("other", "1"), "AccessDeniedException"},
	} {
		var api smithy.APIError
		if test.want == "" && test.err != nil || test.want != "" && (!errors.As(test.err, &api) || api.ErrorCode() != test.want) {
			t.Errorf("%s: %v, want %q", test.call, test.err, test.want)
		}
	}
	if _, err := client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("team/app")}); err == nil || !strings.Contains(err.Error(), "ecr:ListImages") {
		t.Errorf("another action: %v", err)
	}
}
