package ecr

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// Without its state file the registry answers nothing that looks like success.
func TestWithoutItsStateEveryRequestFails(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	b.check(b.db.Close())
	for _, request := range []string{
		"GET /v2/_catalog", "GET /v2/app/tags/list", "GET /v2/app/manifests/1", "PUT /v2/app/manifests/1", "DELETE /v2/app/manifests/1",
		"POST /v2/app/blobs/uploads/", "GET /v2/app/blobs/" + sum("a"), "GET /v2/app/referrers/" + sum("a"),
	} {
		method, path, _ := strings.Cut(request, " ")
		if resp, body := b.do(auth, method, path, ""); resp.StatusCode != 500 {
			t.Errorf("%s: %s %s", request, resp.Status, body)
		}
	}
	ctx, app := root(), aws.String("app")
	ids := []types.ImageIdentifier{{ImageTag: aws.String("1")}}
	for name, call := range map[string]func() error{
		"CreateRepository": func() error {
			_, err := b.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: app})
			return err
		},
		"DeleteRepository": func() error {
			_, err := b.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: app})
			return err
		},
		"DescribeRepositories": func() error { _, err := b.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); return err },
		"DescribeImages": func() error {
			_, err := b.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: app})
			return err
		},
		"ListImages": func() error { _, err := b.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: app}); return err },
		"BatchGetImage": func() error {
			_, err := b.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: app, ImageIds: ids})
			return err
		},
		"BatchDeleteImage": func() error {
			_, err := b.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: app, ImageIds: ids})
			return err
		},
		"templates": func() error {
			_, err := b.ecr.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{})
			return err
		},
		"put a template": func() error {
			return b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{Prefix: app})
		},
		"remove a template": func() error { return b.ecr.RemoveRepositoryCreationTemplate("app") },
		"put a rule":        func() error { return b.ecr.PutPullThroughCacheRule("app") },
		"remove a rule":     func() error { return b.ecr.RemovePullThroughCacheRule("app") },
	} {
		if err := call(); err == nil {
			t.Errorf("%s succeeds", name)
		}
	}
}

// A template whose settings no repository can have fails the push, and what is
// in another account's registry is not here.
func TestNoRepositoryIsMadeOrFoundByMistake(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	b.check(b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{
		Prefix: aws.String("team"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}, ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion,
	}))
	if resp, body := b.do(b.login(root()), "POST", "/v2/team/a/blobs/uploads/", ""); resp.StatusCode < 400 || !strings.Contains(body, "imageTagMutabilityExclusionFilters go with") {
		t.Errorf("a push under a template that cannot be: %s %s", resp.Status, body)
	}
	_, err := b.ecr.ListImages(root(), &ecr.ListImagesInput{RepositoryName: aws.String("app"), RegistryId: aws.String("111122223333")})
	if err == nil || !strings.Contains(err.Error(), "does not exist in the registry with id '111122223333'") {
		t.Errorf("a repository of another account: %v", err)
	}
}
