package runner_test

import (
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/codebuild-flex/flexbuild/runner"
)

// docs/security.md names these tests beside what it says of callers who do not
// trust each other. Three share a builder: a team that may push to team/* and
// build repositories of acme, a team with uploads of its own, and a caller
// without limits.
type rivals struct {
	team, uploader, unlimited aws.Config
	bucket                    string
	theirs                    runner.Info // a build of the second team
}

func newRivals(t *testing.T) rivals {
	t.Helper()
	t.Parallel()
	engine := withTemplate(t, "permissions")
	r := rivals{team: as(t, engine, "TeamCallerArn"), uploader: as(t, engine, "UploaderArn"), unlimited: as(t, engine, "CallerArn")}
	client, err := runner.New(t.Context(), r.uploader, "team", runner.WithTeam("team-b"))
	if err != nil {
		t.Fatal(err)
	}
	r.bucket = client.Stack().SourceBucketName
	result, err := client.Run(t.Context(), runner.Request{Source: directory(t), Tags: []string{"app:1"}}, runner.WithLogs(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if r.theirs, err = client.Build(result.BuildID).Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// startAs returns the error of starting a build with these variables, names and
// values in turn.
func startAs(t *testing.T, cfg aws.Config, in codebuild.StartBuildInput, variables ...string) error {
	t.Helper()
	in.ProjectName = aws.String("images")
	for i := 0; i < len(variables); i += 2 {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{Name: &variables[i], Value: &variables[i+1]})
	}
	_, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &in)
	return err
}

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if !strings.HasPrefix(codeOf(err), "AccessDenied") {
		t.Errorf("%s: error %v, want AccessDenied", what, err)
	}
}

// Neither the repositories, the sources, the uploads nor the caches of others
// are within a team's reach, and none of it without a build.
func TestTeamCannotReachWhatIsOthers(t *testing.T) {
	r := newRivals(t)
	acme := codebuild.StartBuildInput{SourceLocationOverride: aws.String("https://github.com/acme/app")}
	upload := codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: &r.theirs.Source}
	wantDenied(t, "pushing to another repository", startAs(t, r.team, acme, "TAG", "app:1"))
	wantDenied(t, "pushing over the caches", startAs(t, r.team, acme, "TAG", "images-cache:app"))
	wantDenied(t, "caching elsewhere", startAs(t, r.team, acme, "TAG", "team/api:1", "CACHE_REPOSITORY", "app"))
	wantDenied(t, "building another source", startAs(t, r.team, codebuild.StartBuildInput{SourceLocationOverride: aws.String("https://github.com/other/app")}, "TAG", "team/api:1"))
	wantDenied(t, "building another's upload", startAs(t, r.team, upload, "TAG", "team/api:1"))

	key := strings.TrimPrefix(r.theirs.Source, r.bucket+"/")
	objects := s3.NewFromConfig(r.team)
	_, err := objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &r.bucket, Key: &key})
	wantDenied(t, "reading another's upload", err)
	_, err = objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &r.bucket, Key: &key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	wantDenied(t, "writing where another uploads", err)
	_, err = objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &r.bucket, Key: &key})
	wantDenied(t, "deleting another's upload", err)
	_, err = objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: aws.String(key[:strings.LastIndex(key, "/")+1])})
	wantDenied(t, "looking for another's upload", err)

	images := ecr.NewFromConfig(r.team)
	_, err = images.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	wantDenied(t, "logging in to the registry", err)
	for _, repository := range []string{"app", "images-cache", "team/api"} {
		ids := []ecrtypes.ImageIdentifier{{ImageTag: aws.String("1")}}
		_, err = images.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: ids})
		wantDenied(t, "reading an image of "+repository, err)
		_, err = images.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: &repository, ImageIds: ids})
		wantDenied(t, "deleting an image of "+repository, err)
	}
	_, err = secretsmanager.NewFromConfig(r.team).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("npm")})
	wantDenied(t, "reading a secret", err)
	events := cloudwatchlogs.NewFromConfig(r.team)
	group, stream := "/aws/codebuild/images", r.theirs.BuildID[strings.Index(r.theirs.BuildID, ":")+1:]
	_, err = events.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream,
		LogEvents: []logtypes.InputLogEvent{{Message: aws.String("x"), Timestamp: aws.Int64(1)}}})
	wantDenied(t, "writing to another's log", err)
}

// Builds, their logs and their ends are everybody's who shares the builder.
func TestCallersSeeAndStopEachOthersBuilds(t *testing.T) {
	r := newRivals(t)
	for name, cfg := range map[string]aws.Config{"a team": r.team, "a caller without limits": r.unlimited} {
		client, err := runner.New(t.Context(), cfg, "team")
		if err != nil {
			t.Fatal(err)
		}
		build := client.Build(r.theirs.BuildID)
		info, err := build.Info(t.Context())
		if err != nil || info.Source != r.theirs.Source {
			t.Errorf("%s sees the build as %+v: %v", name, info, err)
		}
		lines := 0
		for _, err := range build.Logs(t.Context()) {
			if lines++; err != nil {
				t.Errorf("%s reads the log: %v", name, err)
			}
		}
		if err := build.Stop(t.Context()); err != nil || lines == 0 {
			t.Errorf("%s reads %d lines, and stops the build: %v", name, lines, err)
		}
	}
}

// A caller without limits builds a team's upload, if it knows its key.
func TestCallerWithoutLimitsBuildsAnothersUpload(t *testing.T) {
	r := newRivals(t)
	upload := codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: &r.theirs.Source}
	if err := startAs(t, r.unlimited, upload, "TAG", "app:1", "TARGET", "src"); err != nil {
		t.Error(err)
	}
}

// What IAM cannot look at passes a team's limits.
func TestLimitsDoNotCoverWhatNoKeyHas(t *testing.T) {
	r := newRivals(t)
	acme := func(change func(*codebuild.StartBuildInput)) codebuild.StartBuildInput {
		in := codebuild.StartBuildInput{SourceLocationOverride: aws.String("https://github.com/acme/app")}
		change(&in)
		return in
	}
	variable := func(name, value string) types.EnvironmentVariable {
		return types.EnvironmentVariable{Name: &name, Value: &value, Type: types.EnvironmentVariableTypeSecretsManager}
	}
	for name, in := range map[string]codebuild.StartBuildInput{
		"the timeout": acme(func(in *codebuild.StartBuildInput) { in.TimeoutInMinutesOverride = aws.Int32(2160) }),
		"the queue":   acme(func(in *codebuild.StartBuildInput) { in.QueuedTimeoutInMinutesOverride = aws.Int32(480) }),
		"the version": acme(func(in *codebuild.StartBuildInput) { in.SourceVersion = aws.String("pr/1") }),
		"submodules": acme(func(in *codebuild.StartBuildInput) {
			in.GitSubmodulesConfigOverride = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
		}),
		"a secret of the builder's": acme(func(in *codebuild.StartBuildInput) {
			in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("SECRET_npm", "npm")}
		}),
	} {
		if err := startAs(t, r.team, in, "TAG", "team/api:1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The value of such a variable is the name of a secret that the caller may
	// write.
	tagFromSecret := acme(func(in *codebuild.StartBuildInput) {
		in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("TAG", "team/tag")}
	})
	if err := startAs(t, r.team, tagFromSecret); err != nil {
		t.Errorf("a tag from a secret: %v", err)
	}
}
