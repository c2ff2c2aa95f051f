package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
	"github.com/codebuild-flex/flexbuild/local/internal/s3"
	"github.com/codebuild-flex/flexbuild/local/internal/secretsmanager"
	"github.com/codebuild-flex/flexbuild/local/internal/ssm"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

const (
	groupName = "/aws/codebuild/demo"
	trust     = `{"Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	allowAll  = `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// A bench is the real service with the real agent, and the services that the
// agent calls.
type bench struct {
	*codebuild.Service
	iam         *iam.Service
	logs        *logs.Service
	agent       *Agent
	credentials *Credentials
	parameters  *ssm.Service
	secrets     *secretsmanager.Service
	objects     *s3.Service
	dir         string
}

const bucket = "bucket"

type setting func(*Options)

func newBench(t testing.TB, settings ...setting) *bench {
	t.Helper()
	b := &bench{dir: filepath.Join(t.TempDir(), "builds"), credentials: &Credentials{}}
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	options := Options{Dir: b.dir, Clock: clockwork.NewRealClock(), Credentials: b.credentials, AWS: aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + server.Listener.Addr().String()), HTTPClient: wire.NewHTTPClient(),
	}}
	for _, s := range settings {
		s(&options)
	}
	b.iam, err = iam.New(iam.Options{Store: db, Clock: options.Clock})
	must(t, err)
	b.logs, err = logs.New(logs.Options{Store: db, Clock: options.Clock, Region: "us-east-1"})
	must(t, err)
	b.parameters, err = ssm.New(ssm.Options{Store: db, Clock: options.Clock, Region: "us-east-1"})
	must(t, err)
	b.secrets, err = secretsmanager.New(secretsmanager.Options{Store: db, Clock: options.Clock, Region: "us-east-1"})
	must(t, err)
	b.objects, err = s3.New(s3.Options{Store: db, Dir: t.TempDir(), Clock: options.Clock, Region: "us-east-1", IAM: b.iam})
	must(t, err)
	options.IAM = b.iam
	b.agent, err = New(options)
	must(t, err)
	b.Service, err = codebuild.New(codebuild.Options{Store: db, Clock: options.Clock, Region: "us-east-1", IAM: b.iam, Executor: b})
	must(t, err)
	server.Config.Handler = b.handler(options.Clock)
	server.Start()
	t.Cleanup(func() { b.Close() })
	b.deploy(t)
	return b
}

// Execute implements codebuild.Executor.
func (b *bench) Execute(ctx context.Context, build types.Build, record *codebuild.Record) types.StatusType {
	return b.agent.Execute(ctx, build, record, Tools{Path: []string{"/first"}, Environment: map[string]string{"BUILDKIT_HOST": "unix:///x"}})
}

func (b *bench) handler(clock clockwork.Clock) http.Handler {
	apis := wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, Clock: clock, S3: b.objects, JSON: []wire.JSONService{
		{Name: "logs", TargetPrefix: logs.TargetPrefix, Service: b.logs},
		{Name: "secretsmanager", TargetPrefix: secretsmanager.TargetPrefix, Service: b.secrets},
		{Name: "ssm", TargetPrefix: ssm.TargetPrefix, Service: b.parameters},
	}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a ServeMux would change the keys of objects
		if strings.HasPrefix(r.URL.Path, CredentialsPath) {
			b.credentials.ServeHTTP(w, r)
			return
		}
		apis.ServeHTTP(w, r)
	})
}

// upload puts an object into the bucket.
func (b *bench) upload(t testing.TB, key string, data []byte) {
	t.Helper()
	_, err := b.client(t).PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
	must(t, err)
}

// client returns a client of S3 that may do everything.
func (b *bench) client(t testing.TB) *awss3.Client {
	t.Helper()
	config := b.agent.AWS.Copy()
	root, err := b.iam.RootCredentials()
	must(t, err)
	config.Credentials = credentials.NewStaticCredentialsProvider(root.AccessKeyID, root.SecretAccessKey, "")
	return awss3.NewFromConfig(config, func(o *awss3.Options) { o.UsePathStyle = true })
}

func (b *bench) deploy(t testing.TB) {
	t.Helper()
	must(t, b.logs.PutLogGroup(groupName, 0))
	must(t, b.objects.AddBucket(bucket))
	b.role(t, trust, allowAll)
	_, err := b.PutProject(types.Project{
		Name:        aws.String("demo"),
		ServiceRole: aws.String(iam.RoleARN("/", "builder")),
		Artifacts:   &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source:      &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2\nphases: {}")},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeLinuxContainer, ComputeType: types.ComputeTypeBuildGeneral1Small, Image: aws.String("image"),
			EnvironmentVariables: []types.EnvironmentVariable{variable("FROM_PROJECT", "project"), variable("FROM_CALL", "project")},
		},
	})
	must(t, err)
}

func (b *bench) role(t testing.TB, trust, policy string) {
	t.Helper()
	must(t, b.iam.PutRole(iam.Role{Name: "builder", TrustPolicy: json.RawMessage(trust), Policies: map[string]json.RawMessage{"p": json.RawMessage(policy)}}))
}

func variable(name, value string) types.EnvironmentVariable {
	return types.EnvironmentVariable{Name: &name, Value: &value}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type edit func(*sdk.StartBuildInput)

func buildspec(text string) edit {
	return func(in *sdk.StartBuildInput) { in.BuildspecOverride = &text }
}

func source(kind types.SourceType, location string) edit {
	return func(in *sdk.StartBuildInput) { in.SourceTypeOverride, in.SourceLocationOverride = kind, &location }
}

func sourceVersion(v string) edit { return func(in *sdk.StartBuildInput) { in.SourceVersion = &v } }

func (b *bench) start(t testing.TB, edits ...edit) string {
	t.Helper()
	in := &sdk.StartBuildInput{ProjectName: aws.String("demo")}
	for _, e := range edits {
		e(in)
	}
	out, err := b.StartBuild(iam.WithPrincipal(context.Background(), iam.Root()), in)
	must(t, err)
	return *out.Build.Id
}

// A result is a build that is over.
type result struct {
	types.Build
	log string
}

func (b *bench) run(t testing.TB, edits ...edit) result {
	t.Helper()
	return b.wait(t, b.start(t, edits...))
}

func (b *bench) wait(t testing.TB, id string) result {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if build := b.get(t, id); build.BuildComplete {
			b.wantNothingLeft(t)
			return result{build, b.log(t, build)}
		}
	}
	t.Fatalf("build is in %s after 30 s; its log:\n%s", *b.get(t, id).CurrentPhase, b.log(t, b.get(t, id)))
	return result{}
}

func (b *bench) get(t testing.TB, id string) types.Build {
	t.Helper()
	out, err := b.BatchGetBuilds(context.Background(), &sdk.BatchGetBuildsInput{Ids: []string{id}})
	must(t, err)
	return out.Builds[0]
}

// wantNothingLeft checks that no work folder remains.
func (b *bench) wantNothingLeft(t testing.TB) {
	t.Helper()
	if left, _ := os.ReadDir(b.dir); len(left) > 0 {
		t.Errorf("work folders remain: %v", left)
	}
}

func (b *bench) log(t testing.TB, build types.Build) string {
	t.Helper()
	if build.Logs.StreamName == nil {
		return ""
	}
	var text strings.Builder
	var token *string
	for {
		page, err := b.logs.GetLogEvents(context.Background(), &cwl.GetLogEventsInput{LogGroupName: build.Logs.GroupName,
			LogStreamName: build.Logs.StreamName, StartFromHead: aws.Bool(true), NextToken: token})
		must(t, err)
		for _, e := range page.Events {
			text.WriteString(*e.Message)
		}
		if aws.ToString(token) == *page.NextForwardToken {
			return text.String()
		}
		token = page.NextForwardToken
	}
}

var stamp = regexp.MustCompile(`(?m)^\[Container\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} `)

// plain returns the log without times.
func (r result) plain() string { return stamp.ReplaceAllString(r.log, "[Container] ") }

func (r result) phases() string {
	var all []string
	for _, p := range r.Phases {
		all = append(all, string(p.PhaseType)+":"+string(p.PhaseStatus))
	}
	return strings.Join(all, " ")
}

// context returns the context of the phase that did not succeed.
func (r result) context() string {
	for _, p := range r.Phases {
		if p.PhaseStatus != types.StatusTypeSucceeded && len(p.Contexts) > 0 {
			return aws.ToString(p.Contexts[0].StatusCode) + ": " + aws.ToString(p.Contexts[0].Message)
		}
	}
	return ""
}

func (r result) exported() map[string]string {
	values := map[string]string{}
	for _, v := range r.ExportedEnvironmentVariables {
		values[*v.Name] = *v.Value
	}
	return values
}

func (r result) want(t testing.TB, status types.StatusType, logged ...string) {
	t.Helper()
	if r.BuildStatus != status {
		t.Errorf("build is %s, want %s: %s; its log:\n%s", r.BuildStatus, status, r.context(), r.log)
	}
	for _, part := range logged {
		if !strings.Contains(r.plain(), part) {
			t.Errorf("the log has no %q:\n%s", part, r.log)
		}
	}
}
