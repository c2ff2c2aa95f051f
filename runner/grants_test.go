package runner_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/internal/overridetest"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// granted returns the settings of a role that the construct's GrantStart let
// start builds, and nothing else, in a stack called team.
func granted(t *testing.T) aws.Config {
	t.Helper()
	return grantedTo(t, "own-stack", "CallerArn")
}

// withTemplate returns an engine with a stack called team, which is one of
// infra's golden templates.
func withTemplate(t *testing.T, stack string) *localtest.Engine {
	t.Helper()
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	template, err := os.ReadFile("../infra/testdata/" + stack + ".json")
	if err != nil {
		t.Fatal(err)
	}
	engine.Deploy(t, "team", localtest.WithoutBuildspec(t, string(template))) // and without white space
	return engine
}

// grantedTo is granted for the role of that output, of a stack among infra's
// golden templates.
func grantedTo(t *testing.T, stack, role string) aws.Config {
	t.Helper()
	return as(t, withTemplate(t, stack), role)
}

// as returns the settings of the role of that output of the stack called team.
func as(t *testing.T, engine *localtest.Engine, role string) aws.Config {
	t.Helper()
	cfg := engine.Config()
	stacks, err := cloudformation.NewFromConfig(cfg).DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("team")})
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range stacks.Stacks[0].Outputs {
		if *output.OutputKey == role {
			cfg.Credentials = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), *output.OutputValue)
		}
	}
	return cfg
}

func TestGrantStartIsEnoughForEverythingTheClientDoes(t *testing.T) {
	t.Parallel()
	client, err := runner.New(t.Context(), granted(t), "team.Images")
	if err != nil {
		t.Fatal(err)
	}
	request := runner.Request{
		Source: directory(t), Tags: []string{"team/api:1"}, Target: "t", BuildArgs: map[string]string{"A": "1"}, Labels: map[string]string{"l": "1"},
		Secrets:   map[string]string{"npm": "team/npm", "key": "/team/key"},
		Platforms: []string{"linux/arm64"}, Cache: "inline", Pull: true, NoCache: true, Size: runner.Large,
	}
	result, err := client.Run(t.Context(), request, runner.WithLogs(io.Discard))
	if err != nil || !result.LogsComplete {
		t.Fatalf("result %+v: %v", result, err)
	}
	request.Source = runner.Git{URL: "https://git.example/org/repo.git", Ref: "main", Token: "git-token"}
	build, err := client.Start(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if err := build.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	request.Source = runner.Git{URL: "https://git.corp.example/org/repo.git", Ref: "main", Type: runner.GitHubEnterprise} // with its depth and submodules
	if _, err := client.Run(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	listed := 0
	for info, err := range client.List(t.Context()) {
		if listed++; err != nil || info.BuildID == "" {
			t.Errorf("list: %+v: %v", info, err)
		}
	}
	if listed != 3 {
		t.Errorf("%d builds are listed, want three", listed)
	}
}

// Whoever may start builds may neither replace, remove, read nor find what
// others have uploaded.
func TestGrantStartKeepsUploadsApart(t *testing.T) {
	t.Parallel()
	cfg := granted(t)
	client, err := runner.New(t.Context(), cfg, "team.Images")
	if err != nil {
		t.Fatal(err)
	}
	build, err := client.Start(t.Context(), runner.Request{Source: directory(t), Tags: []string{"team/api:1"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := build.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bucket, key, _ := strings.Cut(info.Source, "/")
	objects := s3.NewFromConfig(cfg)
	_, overwritten := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
	_, removed := objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	_, read := objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	_, listed := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("sources/")})
	_, listedAll := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	_, listedPart := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String(key[:len("sources/")+10])})
	for name, err := range map[string]error{
		"overwriting": overwritten, "removing": removed, "reading": read, "listing": listed, "listing all": listedAll, "listing by a part of the digest": listedPart,
	} {
		var api smithy.APIError
		if !errors.As(err, &api) || !strings.HasPrefix(api.ErrorCode(), "AccessDenied") {
			t.Errorf("%s an upload: error %v, want AccessDenied", name, err)
		}
	}
	_, conditional := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	var api smithy.APIError
	if !errors.As(conditional, &api) || api.ErrorCode() != "PreconditionFailed" {
		t.Errorf("overwriting with a condition: error %v, want PreconditionFailed", conditional)
	}
}

// Even an administrator cannot replace an upload that a build is about to read.
func TestNobodyOverwritesAnUpload(t *testing.T) {
	t.Parallel()
	cfg := withTemplate(t, "own-stack").Config()
	client, err := runner.New(t.Context(), cfg, "team.Images")
	if err != nil {
		t.Fatal(err)
	}
	build, err := client.Start(t.Context(), runner.Request{Source: directory(t), Tags: []string{"team/api:1"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := build.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bucket, key, _ := strings.Cut(info.Source, "/")
	objects := s3.NewFromConfig(cfg)
	_, err = objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
	if codeOf(err) != "AccessDenied" {
		t.Errorf("overwriting an upload: error %v, want AccessDenied", err)
	}
	upload, err := objects.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := objects.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = objects.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId,
		MultipartUpload: &s3types.CompletedMultipartUpload{Parts: []s3types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	if codeOf(err) != "AccessDenied" {
		t.Errorf("overwriting an upload in parts: error %v, want AccessDenied", err)
	}
}

// A caller who may start builds cannot use the permissions of the builds' role,
// with limits or without.
func TestGrantStartDeniesWhatWouldHandTheRoleOver(t *testing.T) {
	t.Parallel()
	engine := withTemplate(t, "teams")
	tag := []types.EnvironmentVariable{{Name: aws.String("TAG"), Value: aws.String("team/api:1")}}
	overridetest.Check(t, granted(t), codebuild.StartBuildInput{ProjectName: aws.String("Stack-Builder-403EDD3E"), EnvironmentVariablesOverride: tag})
	overridetest.Check(t, as(t, engine, "TeamCallerArn"), codebuild.StartBuildInput{
		ProjectName: aws.String("images"), SourceLocationOverride: aws.String("https://github.com/acme/app"), EnvironmentVariablesOverride: tag,
	})
}

// The team's role may build what infra.StartLimits permits, with its own
// uploads.
func TestTeamBuildsWhatItsLimitsPermit(t *testing.T) {
	t.Parallel()
	client, err := runner.New(t.Context(), grantedTo(t, "teams", "TeamCallerArn"), "team.Images", runner.WithTeam("team-a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]runner.Request{
		"a directory":    {Source: directory(t), Tags: []string{"team/api:1"}, Size: runner.Medium},
		"its repository": {Source: runner.Git{URL: "https://github.com/acme/app.git"}, Tags: []string{"team/api"}},
	} {
		if _, err := client.Run(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A team's role is denied each way around its limits that StartBuild has.
func TestTeamIsDeniedWhatItsLimitsDoNotPermit(t *testing.T) {
	t.Parallel()
	cfg := grantedTo(t, "teams", "TeamCallerArn")
	client, err := runner.New(t.Context(), cfg, "team.Images")
	if err != nil {
		t.Fatal(err)
	}
	bucket := client.Stack().SourceBucketName
	start := func(tag, location string, variables ...string) codebuild.StartBuildInput {
		in := codebuild.StartBuildInput{ProjectName: aws.String("images")}
		if location != "" {
			in.SourceLocationOverride = &location
		}
		if strings.HasPrefix(location, bucket) {
			in.SourceTypeOverride = types.SourceTypeS3
		}
		if tag != "" {
			variables = append(variables, "TAG", tag)
		}
		for i := 0; i < len(variables); i += 2 {
			in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{Name: &variables[i], Value: &variables[i+1]})
		}
		return in
	}
	const own = "https://github.com/acme/app"
	large := start("team/api:1", own)
	large.ComputeTypeOverride = types.ComputeTypeBuildGeneral1Large
	lambda := start("team/api:1", own)
	lambda.ComputeTypeOverride = types.ComputeTypeBuildLambda1gb
	digest := strings.Repeat("a", 64)
	for name, in := range map[string]codebuild.StartBuildInput{
		"two variables of one name":         start("team/api:1", own, "TAG", "other/api:1"),
		"another repository":                start("other/api:1", own),
		"one that begins alike":             start("team-b/api:1", own),
		"another repository after its own":  start("team/api:1 other/api:1", own),
		"another one before its own":        start("other/api:1 team/api:1", own),
		"no repository":                     start("", own),
		"another source":                    start("team/api:1", "https://github.com/other/app"),
		"another host":                      start("team/api:1", "https://git.example/acme/app"),
		"a source that leads elsewhere":     start("team/api:1", "https://github.com/acme/../other/app"),
		"one that does so in escapes":       start("team/api:1", "https://github.com/acme/%2e%2e/other/app"),
		"another source by the script":      start("team/api:1", own, "GIT_URL", "https://git.example/other/app"),
		"only another one by the script":    start("team/api:1", "", "GIT_URL", "https://git.example/other/app"),
		"one by the script that leads away": start("team/api:1", "", "GIT_URL", "https://github.com/acme/../other/app"),
		"the project's own source":          start("team/api:1", ""),
		"an upload of nobody's team":        start("team/api:1", bucket+"/sources/"+digest+"/20260101.zip"),
		"an upload of another team":         start("team/api:1", bucket+"/sources/team-b/"+digest+"/20260101.zip"),
		"an upload of a longer name":        start("team/api:1", bucket+"/sources/team-ab/"+digest+"/20260101.zip"),
		"a way out of its uploads":          start("team/api:1", bucket+"/sources/team-a/../team-b/x.zip"),
		"a larger machine":                  large,
		"another kind of machine":           lambda,
	} {
		_, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &in)
		if code := codeOf(err); code != "AccessDeniedException" {
			t.Errorf("%s: error %v, want AccessDeniedException", name, err)
		}
	}
	objects := s3.NewFromConfig(cfg)
	for _, prefix := range []string{"sources/", "sources/team-a/", "sources/team-b/", "sources/team-b/" + digest + "/", "sources/" + digest + "/"} {
		if _, err := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); !strings.HasPrefix(codeOf(err), "AccessDenied") {
			t.Errorf("listing %s: error %v, want AccessDenied", prefix, err)
		}
	}
	for _, prefix := range []string{"sources/", "sources/team-b/"} {
		_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(prefix + digest + "/20260101.zip"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
		if !strings.HasPrefix(codeOf(err), "AccessDenied") {
			t.Errorf("uploading to %s: error %v, want AccessDenied", prefix, err)
		}
	}
}

func TestTeamWithABadNameIsRefused(t *testing.T) {
	for _, name := range []string{"a/b", "..", "-a", "a b", strings.Repeat("a", 33)} {
		if _, err := runner.New(t.Context(), aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}, "flexbuild", runner.WithTeam(name)); err == nil || !strings.Contains(err.Error(), "team \"") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
