package codebuild

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

func TestTheSDKTalksToTheServiceOverHTTP(t *testing.T) {
	b := newBench(t, 1)
	handler := wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, Clock: clockwork.NewRealClock(), JSON: []wire.JSONService{
		{Name: "codebuild", TargetPrefix: TargetPrefix, Service: b.Service}}})
	server := httptest.NewServer(handler)
	defer server.Close()
	key, err := b.iam.RootCredentials()
	if err != nil {
		t.Fatal(err)
	}
	client := codebuild.New(codebuild.Options{
		BaseEndpoint: &server.URL,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
	ctx := context.Background()

	started, err := client.StartBuild(ctx, &codebuild.StartBuildInput{ProjectName: aws.String("demo"),
		EnvironmentVariablesOverride: []types.EnvironmentVariable{variable("TAG", "a b\n\"'$(x)")}})
	if err != nil {
		t.Fatal(err)
	}
	b.running(t).finish <- types.StatusTypeSucceeded
	b.completed(t, *started.Build.Id)
	got, err := client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{*started.Build.Id, "demo:x"}})
	if err != nil || got.Builds[0].BuildStatus != types.StatusTypeSucceeded || len(got.BuildsNotFound) != 1 {
		t.Errorf("BatchGetBuilds = %+v, %v", got, err)
	}
	if v := got.Builds[0].Environment.EnvironmentVariables[2]; *v.Value != "a b\n\"'$(x)" {
		t.Errorf("TAG = %q", *v.Value)
	}
	_, err = client.StartBuild(ctx, &codebuild.StartBuildInput{ProjectName: aws.String("nope")})
	wantError(t, err, "ResourceNotFoundException", "Project cannot be found")
	_, err = client.CreateProject(ctx, &codebuild.CreateProjectInput{Name: aws.String("x"), ServiceRole: aws.String("r"),
		Artifacts: project("x").Artifacts, Environment: project("x").Environment, Source: project("x").Source})
	if err == nil {
		t.Error("CreateProject was not refused")
	}
}
