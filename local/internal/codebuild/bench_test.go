package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

const inline = "version: 0.2\nphases: {build: {commands: [true]}}\n"

// A bench is a service with a project "demo", a clock that stands still, and
// builds that the test conducts.
type bench struct {
	*Service
	clock   *clockwork.FakeClock
	iam     *iam.Service
	builds  chan *conducted
	options Options
}

// A conducted build runs until the test ends it or it is interrupted.
type conducted struct {
	id     string
	record *Record
	finish chan types.StatusType
}

func (b *bench) Execute(ctx context.Context, build types.Build, record *Record) types.StatusType {
	c := &conducted{id: *build.Id, record: record, finish: make(chan types.StatusType)}
	record.Begin(types.BuildPhaseTypeProvisioning)
	b.builds <- c
	select {
	case status := <-c.finish:
		record.End(types.StatusTypeSucceeded)
		return status
	case <-ctx.Done():
		return types.StatusTypeFailed
	}
}

func newBench(t *testing.T, concurrency int) *bench {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	b := &bench{clock: clock, builds: make(chan *conducted, 100)}
	if b.iam, err = iam.New(iam.Options{Store: db, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	trust := json.RawMessage(`{"Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	if err := b.iam.PutRole(iam.Role{Name: "builder", TrustPolicy: trust}); err != nil {
		t.Fatal(err)
	}
	b.options = Options{Store: db, Clock: clock, Region: "us-east-1", IAM: b.iam, Executor: b, Concurrency: concurrency}
	b.open(t)
	b.put(t, project("demo"))
	return b
}

// open starts the service on the bench's state, as a new engine would.
func (b *bench) open(t *testing.T) {
	t.Helper()
	service, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	b.Service = service
}

func project(name string) types.Project {
	return types.Project{
		Name:        aws.String(name),
		ServiceRole: aws.String(iam.RoleARN("/", "builder")),
		Artifacts:   &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source:      &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String(inline)},
		Environment: &types.ProjectEnvironment{
			Type:        types.EnvironmentTypeLinuxContainer,
			ComputeType: types.ComputeTypeBuildGeneral1Small,
			Image:       aws.String("aws/codebuild/amazonlinux-x86_64-standard:6.0"),
			EnvironmentVariables: []types.EnvironmentVariable{
				{Name: aws.String("REGISTRY"), Value: aws.String("registry")},
				{Name: aws.String("CACHE"), Value: aws.String("none")},
			},
		},
	}
}

func (b *bench) put(t *testing.T, p types.Project) types.Project {
	t.Helper()
	stored, err := b.PutProject(p)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func root() context.Context { return iam.WithPrincipal(context.Background(), iam.Root()) }

// start starts a build of demo with the changes of edit.
func (b *bench) start(edit ...func(*codebuild.StartBuildInput)) (types.Build, error) {
	in := &codebuild.StartBuildInput{ProjectName: aws.String("demo")}
	for _, e := range edit {
		e(in)
	}
	out, err := b.StartBuild(root(), in)
	if err != nil {
		return types.Build{}, err
	}
	return *out.Build, nil
}

func (b *bench) mustStart(t *testing.T, edit ...func(*codebuild.StartBuildInput)) types.Build {
	t.Helper()
	build, err := b.start(edit...)
	if err != nil {
		t.Fatal(err)
	}
	return build
}

// running returns the next build that began to run.
func (b *bench) running(t *testing.T) *conducted {
	t.Helper()
	select {
	case c := <-b.builds:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("no build began to run")
		return nil
	}
}

func (b *bench) get(t *testing.T, id string) types.Build {
	t.Helper()
	out, err := b.BatchGetBuilds(root(), &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil || len(out.Builds) != 1 {
		t.Fatalf("BatchGetBuilds(%s) = %+v, %v", id, out, err)
	}
	return out.Builds[0]
}

// completed waits for the build to be complete.
func (b *bench) completed(t *testing.T, id string) types.Build {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if build := b.get(t, id); build.BuildComplete {
			return build
		}
	}
	t.Fatalf("build %s did not complete: %+v", id, b.get(t, id))
	return types.Build{}
}

// wantError checks an error's code and a part of its message.
func wantError(t *testing.T, err error, code, part string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !contains(api.ErrorMessage(), part) {
		t.Errorf("error = %v; want %s with %q", err, code, part)
	}
}
