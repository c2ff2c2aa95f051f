package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	containertypes "github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/runner"
)

// limitsItsPulls asks how registries of base images limit the machine of
// builds. It sends 25 HEAD requests at most. For the local engine's builds,
// which run on the machine that tests, a server of the test stands in for the
// registries.
func limitsItsPulls(t *testing.T, d deployed) {
	urls := map[string]string{
		"HUB":          "https://registry-1.docker.io",
		"HUB_TOKEN":    "https://auth.docker.io/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull",
		"PUBLIC":       "https://public.ecr.aws",
		"PUBLIC_TOKEN": "https://public.ecr.aws/token/?service=public.ecr.aws&scope=repository:docker/library/busybox:pull",
	}
	var requests atomic.Int64
	if !d.onAWS {
		server := httptest.NewServer(registryWithLimits(&requests))
		t.Cleanup(server.Close)
		urls = map[string]string{"HUB": server.URL, "HUB_TOKEN": server.URL + "/token", "PUBLIC": server.URL, "PUBLIC_TOKEN": server.URL + "/token"}
		t.Log("the engine cannot answer for the registries' limits: a server of the test stands in for them")
	}
	s := d.survey(t, codebuild.StartBuildInput{EnvironmentVariablesOverride: plain(urls)}, surveyScript(t, "registries.sh"))
	matchFact(t, s, "Docker Hub", `(?i)HTTP/\S+ (200.*ratelimit-remaining|429)`)
	matchFact(t, s, "ECR Public without a login", `^12 requests in \d+ ms: .*times (200|429)`)
	if !d.onAWS {
		t.Log("the engine cannot answer whether the role may log in to ECR Public")
		if n := requests.Load(); n > 25 {
			t.Errorf("the script sent %d requests, want at most 25", n)
		}
		return
	}
	matchFact(t, s, "login to ECR Public", `^the role may$`)
	matchFact(t, s, "ECR Public with a login", `^12 requests in \d+ ms: 12 times 200$`)
}

func matchFact(t *testing.T, s survey, fact, want string) {
	t.Helper()
	if got := s.facts[fact]; !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%s: %q, want %s: build.sh log_in_to_ecr_public, infra/bases.go", fact, got, want)
	}
}

// registryWithLimits refuses each third request for a manifest.
func registryWithLimits(requests *atomic.Int64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token": "for the test"}`) })
	mux.HandleFunc("HEAD /v2/", func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		w.Header().Set("RateLimit-Remaining", "99;w=21600")
		switch {
		case r.Header.Get("Authorization") != "Bearer for the test":
			w.WriteHeader(http.StatusUnauthorized)
		case n%3 == 0:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	return mux
}

// isTakenByEveryService builds an image with the default settings and asks what
// its log and its manifest are like. On AWS, Lambda makes a function of it.
func isTakenByEveryService(t *testing.T, d deployed) {
	build, err := d.client.Start(t.Context(), runner.Request{
		Source: directory(t, "FROM scratch\nCOPY run.sh /\nCMD [\"/run.sh\"]\n"), Tags: []string{d.tag},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	result, err := build.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.checkLog(t, build)
	media := d.pushed(t, result.ImageURI).MediaType
	if !media.IsImage() {
		t.Errorf("what was pushed has the type %s, want that of an image manifest: AWS Lambda takes no other", media)
	}
	d.createFunction(t, result.ImageURI)
}

// checkLog: the markers are there, the sentinel is the last line that the build
// wrote, and the machine's own BuildKit has built.
func (d deployed) checkLog(t *testing.T, build *runner.Build) {
	t.Helper()
	marker, begun, ended, own := "[flexbuild "+build.ID()+"] ", 0, false, ""
	for line, err := range build.Logs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if ended && line.Raw != "" && !strings.HasPrefix(line.Raw, "[Container] ") {
			t.Errorf("the build wrote %q behind the end of its log: buildspec/log.go depends on it", line.Raw)
		}
		switch {
		case line.Raw == marker+"begin":
			begun++
		case line.Raw == marker+"end":
			ended = true
		case line.Kind == runner.LineNote:
			t.Logf("note: %s", line.Text)
		case strings.HasPrefix(line.Raw, "#0 building with"):
			own = line.Raw
		}
		if d.onAWS && strings.Contains(line.Text, "BuildKit is not used") {
			t.Errorf("%s: build.sh start_machines_buildkit", line.Text)
		}
	}
	if begun != 1 || !ended {
		t.Errorf("the log has %d lines that begin the script, want 1; it has the last line: %v", begun, ended)
	}
	if t.Log(own); !strings.Contains(own, "using remote driver") {
		t.Errorf("buildx says %q, want the remote driver: build.sh choose_builder", own)
	}
}

// createFunction makes a Lambda function of the image, with the role whose ARN
// is in FLEXBUILD_TEST_LAMBDA_ROLE. Lambda may add its permission to pull to
// the repository's policy, so the test restores the policy.
func (d deployed) createFunction(t *testing.T, image string) {
	t.Helper()
	role := os.Getenv("FLEXBUILD_TEST_LAMBDA_ROLE")
	if !d.onAWS || role == "" {
		t.Log("whether Lambda takes the image is not asked: that needs AWS, and FLEXBUILD_TEST_LAMBDA_ROLE to name a role")
		return
	}
	d.keepPolicy(t, repositoryIn(image))
	function := "flexbuild-test-" + uuid.NewString()[:8]
	afterwards(t, func(ctx context.Context) {
		if said, err := d.lambda(ctx, "delete-function", "--function-name", function); err != nil {
			t.Errorf("delete the function %s: %v\n%s", function, err, said)
		}
	})
	config, err := d.pull(t, image).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	architecture := map[string]string{"amd64": "x86_64"}[config.Architecture]
	said, err := d.lambda(t.Context(), "create-function", "--function-name", function, "--package-type", "Image",
		"--code", "ImageUri="+image, "--role", role, "--architectures", cmp.Or(architecture, config.Architecture))
	if err != nil {
		t.Fatalf("Lambda does not take the image: %v\n%s", err, said)
	}
	if said, err = d.lambda(t.Context(), "wait", "function-active-v2", "--function-name", function); err != nil {
		t.Errorf("the function does not become active: %v\n%s", err, said)
	}
}

func (d deployed) lambda(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "aws", append([]string{"--region", d.cfg.Region, "lambda"}, args...)...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// keepPolicy puts the repository's policy back when the test ends.
func (d deployed) keepPolicy(t *testing.T, repository string) {
	t.Helper()
	client := ecr.NewFromConfig(d.cfg)
	before, err := client.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: &repository})
	var none *types.RepositoryPolicyNotFoundException
	if err != nil && !errors.As(err, &none) {
		t.Fatal(err)
	}
	afterwards(t, func(ctx context.Context) {
		var err error
		if none == nil {
			_, err = client.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &repository, PolicyText: before.PolicyText})
		} else {
			_, err = client.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &repository})
		}
		if err != nil && !errors.As(err, &none) {
			t.Errorf("put back the policy of %s: %v", repository, err)
		}
	})
}

// repositoryIn returns the repository of an image's URI.
func repositoryIn(uri string) string {
	_, repository, _ := strings.Cut(uri, "/")
	repository, _, _ = strings.Cut(repository, "@")
	return repository
}

// pushesAManifestAgain asks whether pushing a manifest again renews the age by
// which ECR expires it. keep_cache in build.sh pushes a cache's manifest again
// with another annotation. The test tries the manifests of an image and of a
// cache.
func pushesAManifestAgain(t *testing.T, d deployed) {
	result, err := d.run(t, runner.Request{Source: directory(t, "FROM scratch\nCOPY run.sh /again\n"), NoCache: true})
	if err != nil {
		t.Fatal(err)
	}
	image, err := d.pull(t, result.ImageURI).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	d.pushAgain(t, repositoryIn(result.ImageURI), string(image))
	if cache := d.client.Stack().CacheRepository; cache != "" {
		d.pushAgain(t, cache, d.anyManifest(t, cache))
	}
}

func (d deployed) pushAgain(t *testing.T, repository, manifest string) {
	t.Helper()
	p := pushing{t, d, ecr.NewFromConfig(d.cfg), repository, "flexbuild-test-" + uuid.NewString()}
	afterwards(t, p.remove)
	p.push(manifest)
	first := p.described()
	p.push(manifest)
	second := p.described()
	t.Logf("%s: the same manifest pushed again: imagePushedAt goes from %v to %v", repository, *first.ImagePushedAt, *second.ImagePushedAt)
	t.Logf("%s: put-image of the same manifest: %v", repository, p.putImage(manifest))

	annotated := strings.Replace(manifest, "{", `{"annotations":{"flexbuild.kept":"test"},`, 1)
	switch err := p.putImage(annotated); {
	case d.onAWS && err != nil:
		t.Fatalf("%s: put-image of a manifest with another annotation: %v: build.sh keep_cache depends on it", repository, err)
	case err != nil:
		t.Logf("the engine cannot answer for put-image, so the registry gets the manifest: %v", err)
		p.push(annotated)
	}
	third := p.described()
	if *third.ImageDigest == *first.ImageDigest || third.ImagePushedAt.Before(*second.ImagePushedAt) {
		t.Errorf("%s: the tag has %s of %v, before %s of %v, want a younger one: build.sh keep_cache depends on it",
			repository, *third.ImageDigest, *third.ImagePushedAt, *second.ImageDigest, *second.ImagePushedAt)
	}
}

// anyManifest returns that of a tag in the repository.
func (d deployed) anyManifest(t *testing.T, repository string) string {
	t.Helper()
	client := ecr.NewFromConfig(d.cfg)
	images, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
		RepositoryName: &repository, Filter: &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged},
	})
	if err != nil || len(images.ImageDetails) == 0 {
		t.Fatalf("no cache in %s, to which a build has just exported its own: %v", repository, err)
	}
	got, err := client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: []types.ImageIdentifier{{ImageDigest: images.ImageDetails[0].ImageDigest}},
	})
	if err != nil || len(got.Images) != 1 {
		t.Fatalf("get the manifest %s of %s: %v", *images.ImageDetails[0].ImageDigest, repository, err)
	}
	return *got.Images[0].ImageManifest
}

// A pushing has a tag of the test's own.
type pushing struct {
	t               *testing.T
	d               deployed
	client          *ecr.Client
	repository, tag string
}

// rawManifest is a manifest as package remote pushes it.
type rawManifest struct {
	text  []byte
	media containertypes.MediaType
}

func (m rawManifest) RawManifest() ([]byte, error)                 { return m.text, nil }
func (m rawManifest) MediaType() (containertypes.MediaType, error) { return m.media, nil }

// push pushes a manifest over the registry's own API, as docker does.
func (p pushing) push(manifest string) {
	p.t.Helper()
	login, err := login(p.d.cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ref, err := name.ParseReference(p.d.client.Stack().Registry + "/" + p.repository + ":" + p.tag)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := remote.Put(ref, rawManifest{[]byte(manifest), containertypes.MediaType(mediaTypeOf(p.t, manifest))}, remote.WithAuth(login)); err != nil {
		p.t.Fatal(err)
	}
}

// putImage pushes a manifest over ECR's API, as the AWS CLI does.
func (p pushing) putImage(manifest string) error {
	_, err := p.client.PutImage(p.t.Context(), &ecr.PutImageInput{
		RepositoryName: &p.repository, ImageTag: &p.tag, ImageManifest: &manifest, ImageManifestMediaType: aws.String(mediaTypeOf(p.t, manifest)),
	})
	return err
}

func (p pushing) described() types.ImageDetail {
	p.t.Helper()
	out, err := p.client.DescribeImages(p.t.Context(), &ecr.DescribeImagesInput{
		RepositoryName: &p.repository, ImageIds: []types.ImageIdentifier{{ImageTag: &p.tag}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.ImageDetails[0]
}

// remove takes the tag away, and the manifest that only it had.
func (p pushing) remove(ctx context.Context) {
	out, err := p.client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{
		RepositoryName: &p.repository, ImageIds: []types.ImageIdentifier{{ImageTag: &p.tag}},
	})
	if err != nil || len(out.Failures) > 0 {
		p.t.Errorf("remove %s:%s: %v %+v", p.repository, p.tag, err, out)
	}
}

func mediaTypeOf(t *testing.T, manifest string) string {
	t.Helper()
	parsed, err := v1.ParseManifest(strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Or(string(parsed.MediaType), string(containertypes.OCIManifestSchema1))
}
