package codebuild

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
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
}

func TestProjectsAreCreatedChangedAndDeletedOverHTTP(t *testing.T) {
	b := newBench(t, 1)
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, Clock: clockwork.NewRealClock(), JSON: []wire.JSONService{
		{Name: "codebuild", TargetPrefix: TargetPrefix, Service: b.Service}}}))
	defer server.Close()
	connect := func(c iam.Credentials) *codebuild.Client {
		return codebuild.New(codebuild.Options{BaseEndpoint: &server.URL, Region: "us-east-1", RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)})
	}
	key, err := b.iam.RootCredentials()
	if err != nil {
		t.Fatal(err)
	}
	client, ctx, p := connect(key), context.Background(), project("made")
	p.Source = &types.ProjectSource{Type: types.SourceTypeGithub, Location: aws.String("https://github.com/org/repo"), Buildspec: aws.String(inline)}
	create := func(change func(*codebuild.CreateProjectInput)) error {
		in := &codebuild.CreateProjectInput{Name: p.Name, ServiceRole: p.ServiceRole, Artifacts: p.Artifacts, Environment: p.Environment,
			Source: p.Source, Description: aws.String("d"), TimeoutInMinutes: aws.Int32(5), ConcurrentBuildLimit: aws.Int32(2),
			BadgeEnabled: aws.Bool(false), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
			LogsConfig: &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled, GroupName: aws.String("g")}}}
		change(in)
		_, err := client.CreateProject(ctx, in)
		return err
	}
	wantError(t, create(func(in *codebuild.CreateProjectInput) { in.Name = aws.String("-") }), "InvalidInputException", "name")
	wantError(t, create(func(in *codebuild.CreateProjectInput) { in.BadgeEnabled = aws.Bool(true) }), "InvalidInputException", "badge is not supported")
	wantError(t, create(func(in *codebuild.CreateProjectInput) { in.ServiceRole = aws.String(iam.RoleARN("/", "none")) }), "InvalidInputException", "not authorized to perform: sts:AssumeRole")
	wantError(t, create(func(in *codebuild.CreateProjectInput) { in.SecondarySources = []types.ProjectSource{*p.Source} }), "InvalidInputException", "identifier must contain only")
	output := []types.ProjectArtifacts{{ArtifactIdentifier: aws.String("docs"), Type: types.ArtifactsTypeS3, Location: aws.String("bucket")}}
	input := []types.ProjectSource{secondary("lib", "https://github.com/org/lib")}
	if err := create(func(in *codebuild.CreateProjectInput) { in.SecondarySources, in.SecondaryArtifacts = input, output }); err != nil {
		t.Fatal(err)
	}
	wantError(t, create(func(*codebuild.CreateProjectInput) {}), "ResourceAlreadyExistsException", "Project already exists: arn:aws:codebuild:us-east-1:000000000000:project/made")

	updated, err := client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: p.Name, TimeoutInMinutes: aws.Int32(10), SourceVersion: aws.String("main"), ConcurrentBuildLimit: aws.Int32(-1)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{"made"}})
	if err != nil || !reflect.DeepEqual(got.Projects[0], *updated.Project) {
		t.Fatalf("BatchGetProjects = %+v, %v, and UpdateProject = %+v", got, err, updated.Project)
	}
	if err := create(func(in *codebuild.CreateProjectInput) { in.Name = aws.String("plain") }); err != nil {
		t.Fatal(err)
	}
	plain, err := client.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{"plain"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := plain.Projects[0]; p.SecondarySources == nil || p.SecondarySourceVersions == nil || p.SecondaryArtifacts == nil || p.FileSystemLocations == nil {
		t.Errorf("a list that is empty is missing in %+v", p)
	}
	if g := got.Projects[0]; *g.TimeoutInMinutes != 10 || *g.Description != "d" || *g.SourceVersion != "main" || g.ConcurrentBuildLimit != nil ||
		*g.Tags[0].Value != "v" || *g.LogsConfig.CloudWatchLogs.GroupName != "g" || *g.SecondarySources[0].SourceIdentifier != "lib" || *g.SecondaryArtifacts[0].Location != "bucket" || *g.Source.Buildspec != inline || !g.Created.Equal(b.clock.Now()) {
		t.Errorf("the project is %+v", g)
	}
	updated, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: p.Name, SecondarySources: []types.ProjectSource{}, SecondaryArtifacts: []types.ProjectArtifacts{}})
	if err != nil || len(updated.Project.SecondarySources)+len(updated.Project.SecondaryArtifacts) != 0 {
		t.Errorf("after removing them, the project has the secondary sources %v and artifacts %v, %v", updated.Project.SecondarySources, updated.Project.SecondaryArtifacts, err)
	}
	_, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: p.Name, TimeoutInMinutes: aws.Int32(1)})
	wantError(t, err, "InvalidInputException", "timeoutInMinutes")
	_, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: p.Name, VpcConfig: &types.VpcConfig{VpcId: aws.String("vpc-1")}})
	wantError(t, err, "InvalidInputException", "vpcId, subnets and securityGroupIds are needed together")
	_, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: aws.String("none")})
	wantError(t, err, "ResourceNotFoundException", "project/none")

	if err := b.iam.PutRolePolicy("builder", "p", json.RawMessage(`{"Statement": {"Effect": "Allow", "Action": "codebuild:*", "Resource": "arn:aws:codebuild:us-east-1:000000000000:project/made"}}`)); err != nil {
		t.Fatal(err)
	}
	session, err := b.iam.AssumeRole(iam.Assumption{RoleARN: *p.ServiceRole, Session: "s", Service: iam.CodeBuild, TTL: time.Until(b.clock.Now()) + 100*365*24*time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	root := client
	client = connect(session.Credentials)
	wantError(t, create(func(in *codebuild.CreateProjectInput) { in.Name = aws.String("other") }), "AccessDeniedException", "codebuild:CreateProject on resource: arn:aws:codebuild:us-east-1:000000000000:project/other")
	wantError(t, create(func(*codebuild.CreateProjectInput) {}), "AccessDeniedException", "iam:PassRole on resource: "+*p.ServiceRole)
	_, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: aws.String("demo")})
	wantError(t, err, "AccessDeniedException", "codebuild:UpdateProject")
	_, err = client.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: p.Name, ServiceRole: p.ServiceRole})
	wantError(t, err, "AccessDeniedException", "iam:PassRole")
	_, err = client.DeleteProject(ctx, &codebuild.DeleteProjectInput{Name: aws.String("demo")})
	wantError(t, err, "AccessDeniedException", "codebuild:DeleteProject")

	for range 2 { // the second time there is none
		if _, err = root.DeleteProject(ctx, &codebuild.DeleteProjectInput{Name: p.Name}); err != nil {
			t.Error(err)
		}
	}
	if got, err = root.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{"made"}}); err != nil || len(got.ProjectsNotFound) != 1 {
		t.Errorf("after the end, BatchGetProjects = %+v, %v", got, err)
	}
}
