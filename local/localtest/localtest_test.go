package localtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

func start(t *testing.T, e *localtest.Engine, edits ...func(*codebuild.StartBuildInput)) string {
	t.Helper()
	in := &codebuild.StartBuildInput{
		ProjectName:                  aws.String("flexbuild"),
		SourceTypeOverride:           types.SourceTypeNoSource,
		EnvironmentVariablesOverride: []types.EnvironmentVariable{{Name: aws.String("TAG"), Value: aws.String("app:1")}},
	}
	for _, edit := range edits {
		edit(in)
	}
	out, err := codebuild.NewFromConfig(e.Config()).StartBuild(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.Build.Id
}

// wait polls until the build is complete.
func wait(t *testing.T, e *localtest.Engine, id string) types.Build {
	t.Helper()
	client := codebuild.NewFromConfig(e.Config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		out, err := client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		if out.Builds[0].BuildComplete {
			return out.Builds[0]
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func phase(b types.Build, name types.BuildPhaseType) types.BuildPhase {
	for _, p := range b.Phases {
		if p.PhaseType == name {
			return p
		}
	}
	return types.BuildPhase{}
}

func logOf(t *testing.T, e *localtest.Engine, b types.Build) string {
	t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(e.Config()).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: b.Logs.GroupName, LogStreamName: b.Logs.StreamName, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, event := range out.Events {
		text.WriteString(*event.Message)
	}
	return text.String()
}

func TestASimulatedBuildLooksLikeARealOne(t *testing.T) {
	e := localtest.New(t, localtest.SimulateBuilds(func(b *localtest.Build) error {
		b.Log("#1 DONE of " + b.Environment["TAG"])
		b.ExportImage()
		return nil
	}))
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	build := wait(t, e, start(t, e))
	if build.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("status %s, phases %+v", build.BuildStatus, build.Phases)
	}
	exported := map[string]string{}
	for _, v := range build.ExportedEnvironmentVariables {
		exported[*v.Name] = *v.Value
	}
	outcome, err := buildspec.ParseOutcome(exported)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(outcome.ImageURI, strings.TrimPrefix(e.Endpoint().URL, "http://")+"/app@sha256:") {
		t.Errorf("image %s", outcome.ImageURI)
	}
	classifier := buildspec.NewLog(*build.Id)
	var output []string
	ended := false
	for line := range strings.Lines(logOf(t, e, build)) {
		switch l := classifier.Line(strings.TrimSuffix(line, "\n")); l.Kind {
		case buildspec.Output:
			output = append(output, l.Text)
		case buildspec.End:
			ended = true
		}
	}
	if strings.Join(output, "|") != "#1 DONE of app:1" || !ended {
		t.Errorf("output %q, ended %v", output, ended)
	}
}

func TestASimulatedBuildFailsAsItsErrorSays(t *testing.T) {
	e := localtest.New(t, localtest.SimulateBuilds(func(*localtest.Build) error { return localtest.ExitStatus(66) }))
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	build := wait(t, e, start(t, e))
	p := phase(build, types.BuildPhaseTypeBuild)
	if build.BuildStatus != types.StatusTypeFailed || !strings.HasSuffix(*p.Contexts[0].Message, "Reason: exit status 66") {
		t.Errorf("status %s, context %+v", build.BuildStatus, p.Contexts)
	}
	if !strings.Contains(logOf(t, e, build), "] end\n") {
		t.Error("the log has no sentinel")
	}
}

func TestASimulatedBuildDoesNotPretendToStoreArtifacts(t *testing.T) {
	e := localtest.New(t, localtest.SimulateBuilds(nil))
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	build := wait(t, e, start(t, e, func(in *codebuild.StartBuildInput) {
		in.ArtifactsOverride = &types.ProjectArtifacts{Type: types.ArtifactsTypeS3, Location: aws.String("bucket")}
	}))
	p := phase(build, types.BuildPhaseTypeUploadArtifacts)
	if build.BuildStatus != types.StatusTypeFailed || *p.Contexts[0].Message != "simulated builds store no artifacts" {
		t.Errorf("status %s, context %+v", build.BuildStatus, p.Contexts)
	}
}

func TestAStoppedSimulatedBuildIsStopped(t *testing.T) {
	running := make(chan struct{})
	e := localtest.New(t, localtest.SimulateBuilds(func(b *localtest.Build) error {
		close(running)
		<-b.Context().Done()
		return errors.New("not reached on AWS")
	}))
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	id := start(t, e)
	<-running
	if _, err := codebuild.NewFromConfig(e.Config()).StopBuild(t.Context(), &codebuild.StopBuildInput{Id: &id}); err != nil {
		t.Fatal(err)
	}
	if build := wait(t, e, id); build.BuildStatus != types.StatusTypeStopped || phase(build, types.BuildPhaseTypeBuild).PhaseStatus != types.StatusTypeStopped {
		t.Errorf("status %s, phases %+v", build.BuildStatus, build.Phases)
	}
}

func TestARestartKeepsStateAndAddressAndEndsBuilds(t *testing.T) {
	running := make(chan struct{})
	e := localtest.New(t, localtest.SimulateBuilds(func(b *localtest.Build) error {
		close(running)
		<-b.Context().Done()
		return nil
	}))
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	id := start(t, e)
	<-running
	before := e.Endpoint()
	e.Restart(t)
	if e.Endpoint() != before {
		t.Errorf("endpoint %+v became %+v", before, e.Endpoint())
	}
	if build := wait(t, e, id); build.BuildStatus != types.StatusTypeFault {
		t.Errorf("status %s", build.BuildStatus)
	}
}
