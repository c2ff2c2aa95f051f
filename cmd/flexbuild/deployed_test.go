package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/runner"
)

// deployed is a stack that builds for real.
type deployed struct {
	cfg    aws.Config
	client *runner.Client
	git    runner.Git // a repository that builds FROM scratch
	tag    string
}

// TestDeployedStack asks of a deployed stack what the code takes for granted: of
// the local engine's here and in CI, and on request of a real account's,
//
//	FLEXBUILD_TEST_STACK=flexbuild go test ./cmd/flexbuild -run TestDeployedStack -v
//
// with the AWS settings of the environment. On AWS that is nine builds of about a
// minute at most on the project's machine, which cost some cents, and it leaves images
// tagged flexbuild-test in the stack's first repository.
func TestDeployedStack(t *testing.T) {
	d := deployedStack(t)
	for name, test := range map[string]func(*testing.T, deployed){
		"a directory with links and modes":      buildsADirectory,
		"a repository at its default branch":    func(t *testing.T, d deployed) { d.buildsRef(t, "HEAD") },
		"a repository at a full ref":            func(t *testing.T, d deployed) { d.buildsRef(t, "refs/heads/"+d.git.Ref) },
		"a clone without a source":              clones,
		"a secret that is not there":            failsWithoutItsSecret,
		"a step that fails":                     failsInBuild,
		"a parameter that only the script sees": failsByItsStatus,
		"the same request twice":                startsOnce,
		"a build that is stopped":               stops,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

func deployedStack(t *testing.T) deployed {
	var d deployed
	stack := os.Getenv("FLEXBUILD_TEST_STACK")
	if stack == "" {
		t.Setenv("FLEXBUILD_BUILD_TOOLS", "standin")
		server, _ := serveRepositories(t)
		d.cfg, stack = engine(t).Config(), flexbuild.StackName
		d.git = runner.Git{URL: server + "/test-ecr2/.git", Ref: "main"}
	} else {
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.cfg = cfg
		d.git = runner.Git{URL: "https://github.com/docker-library/hello-world.git", Ref: "master", Subdir: "amd64/hello-world"}
	}
	client, err := runner.New(t.Context(), d.cfg, stack)
	if err != nil {
		t.Fatal(err)
	}
	d.client = client
	d.tag = slices.Concat(client.Stack().RepositoryNames, []string{client.Stack().RepositoryPrefix + "test"})[0] + ":flexbuild-test"
	return d
}

func (d deployed) run(t *testing.T, request runner.Request) (*runner.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	request.Tags = []string{d.tag}
	return d.client.Run(ctx, request, runner.WithLogs(t.Output()))
}

func directory(t *testing.T, dockerfile string) runner.Dir {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"Dockerfile": dockerfile, "run.sh": "#!/bin/sh\n", "ignored": "", ".dockerignore": "ignored\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir+"/run.sh", 0o755), os.Symlink("run.sh", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	return runner.Dir(dir)
}

func buildsADirectory(t *testing.T, d deployed) {
	result, err := d.run(t, runner.Request{
		Source: directory(t, "FROM scratch\nARG TEXT\nLABEL text=$TEXT\nCOPY . /\n"), BuildArgs: map[string]string{"TEXT": `a "b" $c 'd' %20 ü`},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !result.LogsComplete || result.Commit != "" {
		t.Errorf("the log is complete: %v; an uploaded directory is commit %q", result.LogsComplete, result.Commit)
	}
	files, labels := d.pull(t, result.ImageURI)
	want := []string{"Dockerfile -rw-r--r-- ", "link Lrwxrwxrwx run.sh", "run.sh -rwxr-xr-x "}
	if got := slices.DeleteFunc(files, func(f string) bool { return strings.HasPrefix(f, ".dockerignore") }); !slices.Equal(got, want) {
		t.Errorf("the image has %q, want %q", got, want)
	}
	if got := labels["text"]; got != `a "b" $c 'd' %20 ü` {
		t.Errorf("the label is %q", got)
	}
}

// pull returns the files of an image, each with its mode and where it links, and
// its labels.
func (d deployed) pull(t *testing.T, uri string) (files []string, labels map[string]string) {
	t.Helper()
	login, err := login(d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(uri)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, remote.WithAuth(login))
	if err != nil {
		t.Fatal(err)
	}
	layers := mutate.Extract(image)
	defer layers.Close()
	for archive := tar.NewReader(layers); ; {
		file, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file.Name+" "+file.FileInfo().Mode().String()+" "+file.Linkname)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files, config.Config.Labels
}

func (d deployed) buildsRef(t *testing.T, ref string) {
	source := d.git
	source.Ref = ref
	result, err := d.run(t, runner.Request{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	if result.Commit == "" {
		t.Errorf("no commit in %+v", result)
	}
}

// start sends the API's own call, of a build without a source.
func (d deployed) start(t *testing.T, variables map[string]string, kinds map[string]types.EnvironmentVariableType) *runner.Build {
	t.Helper()
	in := &codebuild.StartBuildInput{ProjectName: aws.String(d.client.Stack().ProjectName), SourceTypeOverride: types.SourceTypeNoSource}
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{
			Name: aws.String(variable), Value: aws.String(variables[variable]), Type: cmp.Or(kinds[variable], types.EnvironmentVariableTypePlaintext),
		})
	}
	out, err := codebuild.NewFromConfig(d.cfg).StartBuild(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return d.client.Build(*out.Build.Id)
}

func clones(t *testing.T, d deployed) {
	build := d.start(t, map[string]string{"TAG": d.tag, "GIT_URL": d.git.URL, "GIT_REF": d.git.Ref, "CONTEXT": cmp.Or(d.git.Subdir, ".")}, nil)
	if result, err := build.Wait(t.Context()); err != nil || result.Commit == "" {
		t.Errorf("result %+v: %v", result, err)
	}
}

func (d deployed) wantFailure(t *testing.T, err error, phase, reason string) {
	t.Helper()
	var failed *runner.BuildError
	if !errors.As(err, &failed) || failed.Phase != phase || !strings.Contains(failed.Reason, reason) {
		t.Errorf("error %v, want a failure in %s with %q", err, phase, reason)
	}
}

func failsWithoutItsSecret(t *testing.T, d deployed) {
	build := d.start(t, map[string]string{"TAG": d.tag, "GIT_URL": "https://git.example/x.git", "GIT_TOKEN": "flexbuild-test/none"},
		map[string]types.EnvironmentVariableType{"GIT_TOKEN": types.EnvironmentVariableTypeSecretsManager})
	_, err := build.Wait(t.Context())
	d.wantFailure(t, err, "DOWNLOAD_SOURCE", "Secrets Manager Error")
}

func failsInBuild(t *testing.T, d deployed) {
	_, err := d.run(t, runner.Request{Source: directory(t, "FROM scratch\nCOPY missing /\n")})
	d.wantFailure(t, err, "BUILD", "")
	var failed *runner.BuildError
	if errors.As(err, &failed) && !strings.Contains(strings.Join(failed.LastLines, "\n"), "missing") {
		t.Errorf("the last lines do not say what failed: %q", failed.LastLines)
	}
}

func failsByItsStatus(t *testing.T, d deployed) {
	_, err := d.start(t, map[string]string{"TAG": "Not A Name"}, nil).Wait(t.Context())
	d.wantFailure(t, err, "BUILD", "TAG")
}

func startsOnce(t *testing.T, d deployed) {
	request := runner.Request{Source: d.git, Tags: []string{d.tag}, IdempotencyToken: uuid.NewString()}
	first, err := d.client.Start(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.client.Start(t.Context(), request)
	if err != nil || second.ID() != first.ID() {
		t.Errorf("the second start gives %v: %v", second, err)
	}
	request.NoCache = true
	if _, err := d.client.Start(t.Context(), request); !errors.Is(err, runner.ErrInvalidRequest) {
		t.Errorf("another request with the token: %v", err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func stops(t *testing.T, d deployed) {
	build, err := d.client.Start(t.Context(), runner.Request{Source: d.git, Tags: []string{d.tag}})
	if err != nil {
		t.Fatal(err)
	}
	if err := build.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := build.Wait(t.Context()); !errors.Is(err, runner.ErrStopped) {
		t.Errorf("the stopped build ends with %v", err)
	}
}
