package ecr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestTokenNeedsACallerAndThisRegistry(t *testing.T) {
	b := newBench(t)
	if _, err := b.ecr.GetAuthorizationToken(context.Background(), nil); err == nil {
		t.Error("a token for nobody")
	}
	//lint:ignore SA1019 clients still send the deprecated field
	_, err := b.ecr.GetAuthorizationToken(root(), &ecr.GetAuthorizationTokenInput{RegistryIds: []string{"111122223333"}})
	if !errors.As(err, new(*types.InvalidParameterException)) {
		t.Errorf("a token for another registry: %v", err)
	}
}

func TestRepositoryLifeCycle(t *testing.T) {
	b := newBench(t)
	ctx := root()
	in := &ecr.CreateRepositoryInput{RepositoryName: aws.String("app"), ImageTagMutability: types.ImageTagMutabilityImmutable}
	created, err := b.ecr.CreateRepository(ctx, in)
	b.check(err)
	want := &types.Repository{
		CreatedAt:                  created.Repository.CreatedAt,
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		ImageScanningConfiguration: &types.ImageScanningConfiguration{},
		ImageTagMutability:         types.ImageTagMutabilityImmutable,
		RegistryId:                 aws.String("000000000000"),
		RepositoryArn:              aws.String("arn:aws:ecr:us-east-1:000000000000:repository/app"),
		RepositoryName:             aws.String("app"),
		RepositoryUri:              aws.String(b.host + "/app"),
	}
	if diff := cmp.Diff(want, created.Repository, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if _, err := b.ecr.CreateRepository(ctx, in); !errors.As(err, new(*types.RepositoryAlreadyExistsException)) {
		t.Errorf("created twice: %v", err)
	}
	img, _ := randomImage(t)
	b.check(b.push(b.login(ctx), "app:1", img))
	if _, err := b.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app")}); !errors.As(err, new(*types.RepositoryNotEmptyException)) {
		t.Errorf("deleted with an image in it: %v", err)
	}
	_, err = b.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true})
	b.check(err)
	_, err = b.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"app"}})
	if !errors.As(err, new(*types.RepositoryNotFoundException)) {
		t.Errorf("described after its deletion: %v", err)
	}
	b.repository("app")
	if out, err := b.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")}); err != nil || len(out.ImageIds) > 0 {
		t.Errorf("a new repository of the old name has images: %v, %v", out, err)
	}
}

func TestPutRepositoryKeepsImagesAndCreationTime(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	before, err := b.ecr.Repository("app")
	b.check(err)
	img, _ := randomImage(t)
	b.check(b.push(b.login(root()), "app:1", img))
	b.clock.Advance(1e12)
	after, err := b.ecr.PutRepository(Repository{Repository: types.Repository{RepositoryName: aws.String("app"), ImageTagMutability: types.ImageTagMutabilityImmutable}})
	b.check(err)
	if !after.CreatedAt.Equal(*before.CreatedAt) || after.ImageTagMutability != types.ImageTagMutabilityImmutable {
		t.Errorf("created %v, tags %s", after.CreatedAt, after.ImageTagMutability)
	}
	if _, err := b.pull(b.login(root()), "app:1"); err != nil {
		t.Errorf("the image is gone: %v", err)
	}
}

func TestRefusedRepositories(t *testing.T) {
	b := newBench(t)
	cases := map[string]Repository{
		"name with capitals": {Repository: types.Repository{RepositoryName: aws.String("App")}},
		"no name":            {},
		"unknown mutability": {Repository: types.Repository{RepositoryName: aws.String("app"), ImageTagMutability: "SOMETIMES"}},
		"exclusion without filters": {Repository: types.Repository{
			RepositoryName: aws.String("app"), ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion}},
		"filters without exclusion": {Repository: types.Repository{
			RepositoryName: aws.String("app"), ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("*")}}}},
	}
	for what, r := range cases {
		if _, err := b.ecr.AddRepository(r); !errors.As(err, new(*types.InvalidParameterException)) {
			t.Errorf("%s: %v, want InvalidParameterException", what, err)
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	b := newBench(t)
	var want, got []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("app-%d", i))
		b.repository(want[i])
	}
	in := &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3)}
	for {
		out, err := b.ecr.DescribeRepositories(root(), in)
		b.check(err)
		for _, r := range out.Repositories {
			got = append(got, *r.RepositoryName)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages hold %v, want %v", got, want)
	}
	if _, err := b.ecr.DescribeRepositories(root(), &ecr.DescribeRepositoriesInput{NextToken: aws.String("!")}); !errors.As(err, new(*types.InvalidParameterException)) {
		t.Errorf("with another's token: %v", err)
	}
}

func TestUntaggedImages(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	first, firstDigest := randomImage(t)
	second, secondDigest := randomImage(t)
	b.check(b.push(auth, "app:1", first))
	b.clock.Advance(1e9)
	b.check(b.push(auth, "app:1", second))
	b.check(b.push(auth, "app:2", second))
	list := func(status types.TagStatus) (ids []string) {
		out, err := b.ecr.ListImages(root(), &ecr.ListImagesInput{RepositoryName: aws.String("app"), Filter: &types.ListImagesFilter{TagStatus: status}})
		b.check(err)
		for _, id := range out.ImageIds {
			ids = append(ids, aws.ToString(id.ImageTag)+"@"+*id.ImageDigest)
		}
		return ids
	}
	if got, want := list(types.TagStatusUntagged), []string{"@" + firstDigest}; !slices.Equal(got, want) {
		t.Errorf("untagged: %v, want %v", got, want)
	}
	if got, want := list(types.TagStatusTagged), []string{"1@" + secondDigest, "2@" + secondDigest}; !slices.Equal(got, want) {
		t.Errorf("tagged: %v, want %v", got, want)
	}
}

func TestBatchDeleteImage(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	img, digest := randomImage(t)
	b.check(b.push(auth, "app:1", img))
	b.check(b.push(auth, "app:2", img))
	index, err := random.Index(100, 1, 1)
	b.check(err)
	ref, err := name.ParseReference(b.host + "/app:index")
	b.check(err)
	b.check(remote.WriteIndex(ref, index, remote.WithAuth(auth)))
	child := must(index.IndexManifest()).Manifests[0].Digest.String()

	remove := func(id types.ImageIdentifier) *ecr.BatchDeleteImageOutput {
		out, err := b.ecr.BatchDeleteImage(root(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{id}})
		b.check(err)
		return out
	}
	if out := remove(types.ImageIdentifier{ImageTag: aws.String("1")}); len(out.ImageIds) != 1 {
		t.Errorf("one of two tags: %v", out.ImageIds)
	}
	if _, err := b.pull(auth, "app@"+digest); err != nil {
		t.Errorf("the image went with one of its two tags: %v", err)
	}
	remove(types.ImageIdentifier{ImageTag: aws.String("2")})
	if _, err := b.pull(auth, "app@"+digest); err == nil {
		t.Error("the image stays without its last tag")
	}
	if out := remove(types.ImageIdentifier{ImageDigest: &child}); len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("an index's image: %v, want it refused", out)
	}
	if out := remove(types.ImageIdentifier{}); len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeMissingDigestAndTag {
		t.Errorf("no id: %v", out)
	}
}

func TestResourcesOfCalls(t *testing.T) {
	b := newBench(t)
	arn := "arn:aws:ecr:us-east-1:000000000000:repository/"
	cases := []struct {
		input any
		want  []string
	}{
		{&ecr.DescribeImagesInput{RepositoryName: aws.String("app")}, []string{arn + "app"}},
		{&ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a", "b"}}, []string{arn + "a", arn + "b"}},
		{&ecr.DescribeRepositoriesInput{}, []string{"*"}},
		{&ecr.GetAuthorizationTokenInput{}, []string{"*"}},
	}
	for _, c := range cases {
		if got := b.ecr.resources(c.input); !slices.Equal(got, c.want) {
			t.Errorf("%T: %v, want %v", c.input, got, c.want)
		}
	}
}

// AWS does not document whether ECR resets the age of an image then. Nothing
// may depend on it, so the engine keeps the age.
func TestPushingAnImageAgainKeepsTheTimeOfItsPush(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	img, _ := randomImage(t)
	first := b.clock.Now().UTC().Truncate(time.Millisecond)
	for range 2 {
		b.check(b.push(b.login(root()), "app:1", img))
		b.clock.Advance(time.Hour)
	}
	out, err := b.ecr.DescribeImages(root(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
	b.check(err)
	if len(out.ImageDetails) != 1 || !out.ImageDetails[0].ImagePushedAt.Equal(first) {
		t.Errorf("described as %v, want one image pushed at %v", out.ImageDetails, first)
	}
}
