package runner_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// deployed returns a client for the default stack in a new engine.
func deployed(t *testing.T, build func(*localtest.Build) error, opts ...localtest.Option) (*runner.Client, *localtest.Engine) {
	t.Helper()
	t.Parallel()
	engine := localtest.New(t, append(opts, localtest.SimulateBuilds(build))...)
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	return client(t, engine), engine
}

func client(t *testing.T, engine *localtest.Engine, opts ...runner.Option) *runner.Client {
	t.Helper()
	c, err := runner.New(t.Context(), engine.Config(), buildspec.StackName, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func directory(t *testing.T) runner.Dir {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return runner.Dir(dir)
}

var gitRequest = runner.Request{
	Source: runner.Git{URL: "https://git.example/org/repo.git", Ref: "main", Subdir: "api"},
	Tags:   []string{"app:1", "flexbuild/other:2"},
}

// uploads returns the keys in the source bucket.
func uploads(t *testing.T, c *runner.Client, engine *localtest.Engine) (keys []string) {
	t.Helper()
	out, err := s3.NewFromConfig(engine.Config()).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(c.Stack().SourceBucketName)})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range out.Contents {
		keys = append(keys, *object.Key)
	}
	return keys
}

func TestNewAgainstAStack(t *testing.T) {
	t.Parallel()
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	if _, err := runner.New(t.Context(), engine.Config(), "flexbuild"); !errors.Is(err, runner.ErrStackNotFound) || !strings.Contains(err.Error(), "flexbuild local deploy") {
		t.Errorf("nothing is deployed: %v", err)
	}
	engine.Deploy(t, "flexbuild", flexbuild.Template)
	if _, err := runner.New(t.Context(), engine.Config(), ""); !errors.Is(err, runner.ErrInvalidRequest) {
		t.Errorf("a stack without a name: %v", err)
	}
	stack := client(t, engine).Stack()
	if stack.ProjectName == "" || stack.Registry != strings.TrimPrefix(engine.Endpoint().URL, "http://") || len(stack.RepositoryNames) == 0 {
		t.Errorf("stack %+v", stack)
	}
	engine.Deploy(t, "other", `{"Resources":{"Group":{"Type":"AWS::Logs::LogGroup"}},"Outputs":{"ContractVersion":{"Value":"99"}}}`)
	if _, err := runner.New(t.Context(), engine.Config(), "other"); !errors.Is(err, runner.ErrIncompatibleStack) || !strings.Contains(err.Error(), "99") {
		t.Errorf("another contract: %v", err)
	}
	cfg := engine.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider("AKIAWRONG", "wrong", "")
	if _, err := runner.New(t.Context(), cfg, "flexbuild"); !errors.Is(err, runner.ErrCredentials) {
		t.Errorf("wrong keys: %v", err)
	}
}

func TestDirectoryIsUploadedAndBuilt(t *testing.T) {
	var environment map[string]string
	c, engine := deployed(t, func(b *localtest.Build) error {
		environment = b.Environment
		b.Log("#1 building")
		b.ExportImage()
		return nil
	})
	var log bytes.Buffer
	var types []runner.EventType
	request := runner.Request{Source: directory(t), Tags: []string{"app:1"}, BuildArgs: map[string]string{"V": "1 2"}, Size: runner.Small}
	result, err := c.Run(t.Context(), request,
		runner.WithLogs(&log), runner.WithEvents(func(e runner.Event) { types = append(types, e.Type) }))
	if err != nil {
		t.Fatal(err)
	}
	if want := c.Stack().Registry + "/app@" + result.Digest; result.ImageURI != want || result.Digest == "" {
		t.Errorf("image %q, want %q", result.ImageURI, want)
	}
	if log.String() != "#1 building\n" || !result.LogsComplete {
		t.Errorf("log %q, complete %v", log.String(), result.LogsComplete)
	}
	if types[0] != runner.EventUploaded || types[1] != runner.EventStarted || types[len(types)-1] != runner.EventLogEnd {
		t.Errorf("events %v", types)
	}
	if environment["TAG"] != "app:1" || environment["BUILD_ARGS"] != "V=1+2" || environment["DOCKERFILE"] != "" {
		t.Errorf("environment %v", environment)
	}
	digest := environment["SOURCE_SHA256"]
	key := "sources/" + digest + "/" + time.Now().UTC().Format("20060102") + ".zip"
	if diff := cmp.Diff([]string{key}, uploads(t, c, engine)); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}
	if got := packedDigest(t, c, engine, key); got != digest {
		t.Errorf("the upload has digest %s, the build has %s", got, digest)
	}
	if want := c.Stack().SourceBucketName + "/" + key; result.Source != want {
		t.Errorf("the build's source is %q, want %q", result.Source, want)
	}
}

// packedDigest returns the SHA-256 of the tar in an upload.
func packedDigest(t *testing.T, c *runner.Client, engine *localtest.Engine, key string) string {
	t.Helper()
	object, err := s3.NewFromConfig(engine.Config()).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(c.Stack().SourceBucketName), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	text, err := io.ReadAll(object.Body)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := archive.Open("source.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	tar, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, tar); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func TestUnchangedDirectoryIsNotUploadedAgain(t *testing.T) {
	c, engine := deployed(t, nil)
	request := runner.Request{Source: directory(t), Tags: []string{"app:1"}}
	var sizes []int64
	build := func() {
		t.Helper()
		_, err := c.Run(t.Context(), request, runner.WithEvents(func(e runner.Event) {
			if e.Type == runner.EventUploaded {
				sizes = append(sizes, e.Bytes)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	build()
	build()
	if err := os.WriteFile(filepath.Join(string(request.Source.(runner.Dir)), "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	build()
	if sizes[0] == 0 || sizes[1] != 0 || sizes[2] == 0 || len(uploads(t, c, engine)) != 2 {
		t.Errorf("uploads of %v bytes, %d in the bucket", sizes, len(uploads(t, c, engine)))
	}
}

// The two builds share one upload, whichever client uploads first.
func TestBuildsOfOneDirectoryAtOnceShareTheUpload(t *testing.T) {
	c, engine := deployed(t, nil)
	source := directory(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if _, err := c.Run(t.Context(), runner.Request{Source: source, Tags: []string{fmt.Sprintf("app:%d", i)}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if keys := uploads(t, c, engine); len(keys) != 1 {
		t.Errorf("uploads %v, want one", keys)
	}
}

func TestBuildThatEndsLeavesItsSourceToOthers(t *testing.T) {
	release, running := make(chan struct{}), make(chan struct{}, 2)
	c, engine := deployed(t, func(b *localtest.Build) error {
		running <- struct{}{}
		if b.Environment["TAG"] == "app:waits" {
			<-release
		}
		b.ExportImage()
		return nil
	})
	source := directory(t)
	waits, err := c.Start(t.Context(), runner.Request{Source: source, Tags: []string{"app:waits"}})
	if err != nil {
		t.Fatal(err)
	}
	<-running
	if _, err := c.Run(t.Context(), runner.Request{Source: source, Tags: []string{"app:ends"}}); err != nil {
		t.Fatal(err)
	}
	if n := len(uploads(t, c, engine)); n != 1 {
		t.Errorf("%d uploads while a build may still need one", n)
	}
	close(release)
	if _, err := waits.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// hook sees the requests that the SDK sends.
type hook struct {
	aws.HTTPClient
	before func(*http.Request)
}

func (h hook) Do(r *http.Request) (*http.Response, error) {
	h.before(r)
	return h.HTTPClient.Do(r)
}

// hooked returns a client whose requests are seen before they are sent.
func hooked(t *testing.T, engine *localtest.Engine, before func(*http.Request)) *runner.Client {
	t.Helper()
	cfg := engine.Config()
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = http.DefaultClient
	}
	cfg.HTTPClient = hook{cfg.HTTPClient, before}
	c, err := runner.New(t.Context(), cfg, buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A file may change after its directory was read and before it is packed: the
// build gets the digest of what was packed. A directory is read first if it
// looks as it did when it was uploaded last.
func TestDirectoryThatChangesBeforeItIsPacked(t *testing.T) {
	var environment map[string]string
	plain, engine := deployed(t, func(b *localtest.Build) error {
		environment = b.Environment
		b.ExportImage()
		return nil
	})
	source := directory(t)
	request := runner.Request{Source: source, Tags: []string{"app:1"}}
	write := func(text string) {
		name := filepath.Join(string(source), "Dockerfile")
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o644), os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
			t.Error(err)
		}
	}
	var asked []string
	c := hooked(t, engine, func(r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Query().Has("list-type") {
			asked = append(asked, r.URL.Query().Get("prefix"))
			write("FROM scratch AS packed\n")
		}
	})
	write("FROM scratch AS before\n")
	if _, err := plain.Run(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	write("FROM scratch AS looked\n")
	if _, err := c.Run(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	digest := environment["SOURCE_SHA256"]
	key := "sources/" + digest + "/" + time.Now().UTC().Format("20060102") + ".zip"
	if keys := uploads(t, c, engine); len(keys) != 2 || !slices.Contains(keys, key) || len(asked) != 2 || strings.HasPrefix(key, asked[0]) {
		t.Errorf("asked for %v, uploaded %v, the build has %s", asked, keys, digest)
	}
	if got := packedDigest(t, c, engine, key); got != digest {
		t.Errorf("the upload has digest %s, the build has %s", got, digest)
	}
}

// Another client uploads the same directory after this one has found that it is
// missing.
func TestUploadThatAnotherWasFasterWith(t *testing.T) {
	c, engine := deployed(t, nil)
	source, once := directory(t), sync.Once{}
	slow := hooked(t, engine, func(r *http.Request) {
		if r.Method == http.MethodPut {
			once.Do(func() {
				if _, err := c.Run(t.Context(), runner.Request{Source: source, Tags: []string{"app:fast"}}); err != nil {
					t.Error(err)
				}
			})
		}
	})
	if _, err := slow.Run(t.Context(), runner.Request{Source: source, Tags: []string{"app:slow"}}); err != nil {
		t.Error(err)
	}
	if keys := uploads(t, c, engine); len(keys) != 1 {
		t.Errorf("uploads %v, want one", keys)
	}
}

func TestLargeUploadNamesItsLargestPaths(t *testing.T) {
	c, _ := deployed(t, nil)
	source := directory(t)
	noise := make([]byte, 101<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	if err := errors.Join(os.Mkdir(filepath.Join(string(source), "data"), 0o755), os.WriteFile(filepath.Join(string(source), "data/noise"), noise, 0o644)); err != nil {
		t.Fatal(err)
	}
	var notes []string
	_, err := c.Start(t.Context(), runner.Request{Source: source, Tags: []string{"app:1"}}, runner.WithEvents(func(e runner.Event) {
		if e.Type == runner.EventNote {
			notes = append(notes, e.Note)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], `the upload has 105.9 MB, most of it in "data/noise" (105.9 MB), "Dockerfile" (0.0 MB): name what the build does not need in .dockerignore`) {
		t.Errorf("notes %q", notes)
	}
}

func TestRepositoryOfAnyHostIsClonedByTheBuild(t *testing.T) {
	var environment map[string]string
	c, _ := deployed(t, func(b *localtest.Build) error {
		environment = b.Environment
		b.ExportImage()
		return nil
	})
	result, err := c.Run(t.Context(), gitRequest)
	if err != nil {
		t.Fatal(err)
	}
	if environment["GIT_URL"] != "https://git.example/org/repo.git" || environment["GIT_REF"] != "main" || environment["CONTEXT"] != "api" {
		t.Errorf("environment %v", environment)
	}
	if diff := cmp.Diff(gitRequest.Tags, result.Tags); diff != "" || result.Source != "https://git.example/org/repo.git" || result.Ref != "main" {
		t.Errorf("result %+v\n%s", result, diff)
	}
}

func TestBuildThatFails(t *testing.T) {
	c, _ := deployed(t, func(b *localtest.Build) error {
		b.Log("#7 RUN make", "#7 ERROR: exit code: 2")
		return localtest.ExitStatus(66)
	})
	result, err := c.Run(t.Context(), gitRequest)
	var failed *runner.BuildError
	if !errors.Is(err, runner.ErrBuildFailed) || !errors.As(err, &failed) || result == nil || result.Status != runner.Failed {
		t.Fatalf("%+v, %v", result, err)
	}
	if failed.Phase != "BUILD" || !strings.Contains(failed.Reason, "lacks the ref") || failed.LogURL == "" {
		t.Errorf("%+v", *failed)
	}
	if diff := cmp.Diff([]string{"#7 RUN make", "#7 ERROR: exit code: 2"}, failed.LastLines); diff != "" {
		t.Errorf("last lines (-want +got):\n%s", diff)
	}
}

// The reason of a failed build is the script's last error line, for every
// method that returns a reason.
func TestReasonIsTheScriptsLastWord(t *testing.T) {
	const reason = `process "/bin/sh -c make" did not complete successfully: exit code: 2`
	c, _ := deployed(t, func(b *localtest.Build) error {
		b.Log("#7 RUN make", "#7 ERROR: exit code: 2")
		b.Log("[flexbuild "+b.ID+"] error the first word", "[flexbuild "+b.ID+"] error "+reason)
		return localtest.ExitStatus(1)
	})
	check := func(how string, err error) {
		t.Helper()
		var failed *runner.BuildError
		if !errors.As(err, &failed) || failed.Reason != reason || failed.LogErr != nil || !strings.HasSuffix(err.Error(), " in BUILD: "+reason) {
			t.Errorf("%s: %v", how, err)
		}
		if failed != nil && !cmp.Equal(failed.LastLines, []string{"#7 RUN make", "#7 ERROR: exit code: 2"}) {
			t.Errorf("%s: last lines %q", how, failed.LastLines)
		}
	}
	var finished runner.Event
	result, err := c.Run(t.Context(), gitRequest, runner.WithEvents(func(e runner.Event) {
		if e.Type == runner.EventFinished {
			finished = e
		}
	}))
	check("Run with events", err)
	if result.Reason != reason || finished.Reason != reason || finished.Result.Reason != reason {
		t.Errorf("the result says %q, its event %+v", result.Reason, finished)
	}
	result, err = c.Run(t.Context(), gitRequest)
	check("Run", err)
	result, err = c.Build(result.BuildID).Wait(t.Context())
	check("Wait for one that has ended", err)
	if text, _ := json.Marshal(result); !strings.HasPrefix(string(text), `{"buildId":"`+result.BuildID+`","number":2,"status":"FAILED","reason":"process`) {
		t.Errorf("JSON begins %.200s", text)
	}
	info, err := c.Build(result.BuildID).Info(t.Context())
	if err != nil || info.Reason != "docker buildx build failed" {
		t.Errorf("without the log: %q, %v", info.Reason, err)
	}
}

// A long log takes seconds to read from its beginning.
func TestReasonOfABuildWithALongLogTakesOnePage(t *testing.T) {
	t.Parallel()
	engine := localtest.New(t, localtest.SimulateBuilds(func(b *localtest.Build) error {
		step := make([]string, 10_000)
		for i := range step {
			step[i] = "#7 step"
		}
		for range 3 {
			b.Log(step...)
		}
		b.Log("#7 ERROR", "[flexbuild "+b.ID+"] error the end")
		return localtest.ExitStatus(1)
	}))
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	var pages atomic.Int32
	cfg := engine.Config()
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("count", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if _, ok := in.Parameters.(*cloudwatchlogs.GetLogEventsInput); ok {
				pages.Add(1)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	c, err := runner.New(t.Context(), cfg, buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Run(t.Context(), gitRequest) // without events nobody reads the log
	var failed *runner.BuildError
	if !errors.As(err, &failed) || failed.Reason != "the end" || len(failed.LastLines) != 20 || failed.LastLines[19] != "#7 ERROR" {
		t.Errorf("%+v, %v", result, err)
	}
	if n := pages.Load(); n != 1 {
		t.Errorf("%d pages were read", n)
	}
}

func TestSuccessWithoutAnImageIsAnError(t *testing.T) {
	c, _ := deployed(t, func(*localtest.Build) error { return nil })
	if _, err := c.Run(t.Context(), gitRequest); !errors.Is(err, runner.ErrNoDigest) {
		t.Errorf("err = %v", err)
	}
}

func TestCancelledRunStopsItsBuild(t *testing.T) {
	running := make(chan struct{})
	c, _ := deployed(t, func(b *localtest.Build) error {
		close(running)
		<-b.Context().Done()
		return b.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	result, err := c.Run(ctx, gitRequest, runner.WithEvents(func(runner.Event) {}))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, runner.ErrStopped) || result == nil || result.Status != runner.Stopped {
		t.Fatalf("%+v, %v", result, err)
	}
	info, err := c.Build(result.BuildID).Info(t.Context())
	if err != nil || info.Status != runner.Stopped {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestQueueThatIsFull(t *testing.T) {
	release := make(chan struct{})
	_, engine := deployed(t, func(b *localtest.Build) error {
		select {
		case <-release:
		case <-b.Context().Done():
		}
		b.ExportImage()
		return nil
	}, localtest.WithConcurrency(1))
	var last error
	impatient := client(t, engine, runner.WithQueueWait(0))
	for range 7 {
		if _, last = impatient.Start(t.Context(), gitRequest); last != nil {
			break
		}
	}
	if !errors.Is(last, runner.ErrQueueFull) {
		t.Fatalf("7 builds at a concurrency of 1: %v", last)
	}
	time.AfterFunc(time.Second, func() { close(release) })
	if _, err := client(t, engine, runner.WithQueueWait(time.Minute)).Run(t.Context(), gitRequest); err != nil {
		t.Errorf("with patience: %v", err)
	}
}

func TestTwoBuildsOfOneTagAtOnce(t *testing.T) {
	c, _ := deployed(t, nil)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if result, err := c.Run(t.Context(), gitRequest); err != nil || result.Digest == "" {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
	both.Wait()
}

func TestBuildSeenFromElsewhere(t *testing.T) {
	release := make(chan struct{})
	c, engine := deployed(t, func(b *localtest.Build) error {
		b.Log("one")
		<-release
		b.Log("two")
		b.ExportImage()
		return nil
	})
	started, err := c.Start(t.Context(), gitRequest)
	if err != nil {
		t.Fatal(err)
	}
	_, uuid, _ := strings.Cut(started.ID(), ":")
	other := client(t, engine).Build(uuid)
	var lines []string
	for line, err := range other.Logs(t.Context(), runner.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Own() {
			if lines = append(lines, line.Text); line.Text == "one" {
				close(release)
			}
		}
	}
	if diff := cmp.Diff([]string{"one", "two"}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if err := other.Stop(t.Context()); err != nil {
		t.Errorf("stop a build that has ended: %v", err)
	}
	listed := 0
	for info, err := range c.List(t.Context()) {
		if listed++; err != nil || info.BuildID != started.ID() || info.Status != runner.Succeeded {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	if listed != 1 {
		t.Errorf("%d builds are listed, want one", listed)
	}
	for name, err := range map[string]error{
		"Info": second(c.Build("no-such-build").Info(t.Context())),
		"Stop": c.Build("no-such-build").Stop(t.Context()),
	} {
		if !errors.Is(err, runner.ErrBuildNotFound) {
			t.Errorf("%s of a build that is not there: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestIdempotencyToken(t *testing.T) {
	c, _ := deployed(t, nil)
	request := runner.Request{Source: directory(t), Tags: []string{"app:1"}, IdempotencyToken: "once"}
	first, err := c.Start(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Start(t.Context(), request)
	if err != nil || again.ID() != first.ID() {
		t.Errorf("again: %v, %v", again, err)
	}
	request.Tags = []string{"app:2"}
	if _, err := c.Start(t.Context(), request); !errors.Is(err, runner.ErrInvalidRequest) {
		t.Errorf("another request: %v", err)
	}
}

func TestEngineThatRestartsMidBuild(t *testing.T) {
	running := make(chan struct{}, 1)
	c, engine := deployed(t, func(b *localtest.Build) error {
		running <- struct{}{}
		<-b.Context().Done()
		return nil
	})
	build, err := c.Start(t.Context(), gitRequest)
	if err != nil {
		t.Fatal(err)
	}
	<-running
	ended := make(chan error)
	go func() {
		_, err := build.Wait(t.Context())
		ended <- err
	}()
	engine.Restart(t)
	err = <-ended
	var failed *runner.BuildError
	if !errors.Is(err, runner.ErrFault) || !errors.As(err, &failed) || failed.Reason == "" {
		t.Errorf("err = %v", err)
	}
}

// AWS does not document what a build keeps of its project's source when a call
// overrides the type. The client sends everything that a build depends on, and
// the project has no settings that could do harm if they were kept. So builds
// are the same in both cases.
func TestNothingIsInheritedByAccident(t *testing.T) {
	submodules := &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
	enterprise := func(ref, sum string) runner.Git {
		return runner.Git{URL: "https://git.corp.example/org/repo.git", Ref: ref, Checksum: sum, Type: runner.GitHubEnterprise}
	}
	git := types.ProjectSource{Type: types.SourceTypeGithubEnterprise, Location: aws.String("https://git.corp.example/org/repo.git"),
		GitCloneDepth: aws.Int32(1), GitSubmodulesConfig: submodules}
	sum := strings.Repeat("1a2b", 10)
	for name, kept := range map[string]localtest.Inheritance{"everything": localtest.InheritEverything, "nothing": localtest.InheritNothing} {
		t.Run(name, func(t *testing.T) {
			c, engine := deployed(t, nil, localtest.WithInheritance(kept))
			api := codebuild.NewFromConfig(engine.Config())
			for name, test := range map[string]struct {
				source  runner.Source
				want    types.ProjectSource
				version string
			}{
				"a directory":        {directory(t), types.ProjectSource{Type: types.SourceTypeS3}, ""},
				"a clone":            {gitRequest.Source, types.ProjectSource{Type: types.SourceTypeNoSource}, ""},
				"the default branch": {enterprise("", ""), git, ""},
				"a branch":           {enterprise("refs/heads/main", ""), git, "main"},
				"a tag's commit":     {enterprise("refs/tags/v1", sum), git, "refs/tags/v1^{" + sum + "}"},
				"a pull request":     {enterprise("pr/7", ""), git, "pr/7"},
			} {
				result, err := c.Run(t.Context(), runner.Request{Source: test.source, Tags: []string{"app:1"}})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out, err := api.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{result.BuildID}})
				if err != nil {
					t.Fatal(err)
				}
				build := out.Builds[0]
				got := *build.Source
				got.Buildspec = nil // the project's, always
				if test.want.Location == nil {
					got.Location = nil // an object, or what NO_SOURCE ignores
				}
				if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(got, *submodules)); diff != "" || aws.ToString(build.SourceVersion) != test.version {
					t.Errorf("%s: version %q, source (-want +got):\n%s", name, aws.ToString(build.SourceVersion), diff)
				}
			}
			out, err := api.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{c.Stack().ProjectName}})
			if err != nil {
				t.Fatal(err)
			}
			project := out.Projects[0]
			if s := project.Source; project.SourceVersion != nil || s.GitCloneDepth != nil || s.GitSubmodulesConfig != nil || s.InsecureSsl != nil || s.Auth != nil {
				t.Errorf("the project has what a build could inherit: version %v, source %+v", project.SourceVersion, s)
			}
		})
	}
}

func TestLongTokenIsRefusedBeforeTheUpload(t *testing.T) {
	c, engine := deployed(t, nil)
	for _, n := range []int{65, 64} {
		request := runner.Request{Source: directory(t), Tags: []string{"app:1"}, IdempotencyToken: strings.Repeat("x", n)}
		_, err := c.Start(t.Context(), request)
		if long := n > 64; errors.Is(err, runner.ErrInvalidRequest) != long || (len(uploads(t, c, engine)) == 0) != long {
			t.Errorf("%d characters: %v, and %d objects", n, err, len(uploads(t, c, engine)))
		}
	}
}

func TestImageForARMIsBuiltOnARM(t *testing.T) {
	c, engine := deployed(t, nil)
	for platform, want := range map[string]types.EnvironmentType{
		"linux/arm64": types.EnvironmentTypeArmContainer, "linux/amd64": types.EnvironmentTypeLinuxContainer,
		"aarch64": types.EnvironmentTypeArmContainer, "linux/x86_64": types.EnvironmentTypeLinuxContainer,
	} {
		b, err := c.Start(t.Context(), runner.Request{Source: directory(t), Tags: []string{"app:1"}, Platforms: []string{platform}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := codebuild.NewFromConfig(engine.Config()).BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{b.ID()}})
		if err != nil {
			t.Fatal(err)
		}
		machine := out.Builds[0].Environment
		if arm := *machine.Image == c.Stack().ArmImage; machine.Type != want || arm != (want == types.EnvironmentTypeArmContainer) {
			t.Errorf("%s is built on %s in %s", platform, machine.Type, *machine.Image)
		}
	}
}
