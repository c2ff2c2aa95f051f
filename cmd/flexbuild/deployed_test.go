package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// deployed is a stack that builds for real.
type deployed struct {
	cfg    aws.Config
	client *runner.Client
	git    runner.Git // a repository that builds FROM scratch
	tag    string
	onAWS  bool
}

// TestDeployedStack asks of a deployed stack what the code takes for granted:
// of the local engine's here and in CI, and on request of a real account's,
//
//	FLEXBUILD_TEST_STACK=flexbuild go test ./cmd/flexbuild -run TestDeployedStack -v
//
// with the AWS settings of the environment, which must be an administrator's:
// some builds run another buildspec. On AWS that is 15 builds of one or two
// minutes on the project's machine, and up to 16 that are stopped at once. They
// cost about 15 cents on the default machine. All that the test makes it
// removes again, except images tagged flexbuild-test in the stack's first
// repository.
// What the local engine cannot answer is in the log, test by test. More is in
// docs/real-account.md.
func TestDeployedStack(t *testing.T) {
	t.Parallel()
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

		"each override, as a caller":            permitsWhatCallersMayOverride,
		"the machine":                           describesItsMachine,
		"a build that fails after an export":    failsAfterAnExport,
		"a zipped source":                       unpacksAZip,
		"a zipped source with strange names":    unpacksStrangeNames,
		"an archive arrives byte for byte":      arrivesByteForByte,
		"an upload that nobody overwrites":      keepsItsUploads,
		"what a source type override inherits":  inheritsWhatIsNotOverridden,
		"what flexbuild's own project hands on": hasOnlyWhatIsSent,
		"registries of base images":             limitsItsPulls,
		"an image that every AWS service takes": isTakenByEveryService,
		"a manifest that is pushed once more":   pushesAManifestAgain,
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
		server, _ := serveRepositories(t)
		d.cfg, stack = engine(t).Config(), buildspec.StackName
		d.git = runner.Git{URL: server + "/test-ecr2/.git", Ref: "main"}
	} else {
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.cfg, d.onAWS = cfg, true
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
	const dockerfile = "FROM scratch\nARG TEXT\nLABEL text=$TEXT\nCOPY . /\n"
	result, err := d.run(t, runner.Request{
		Source: directory(t, dockerfile), BuildArgs: map[string]string{"TEXT": `a "b" $c 'd' %20 ü`},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !result.LogsComplete || result.Commit != "" {
		t.Errorf("the log is complete: %v; an uploaded directory is commit %q", result.LogsComplete, result.Commit)
	}
	image := d.pull(t, result.ImageURI)
	all := files(t, image, func(h tar.Header, text []byte) string {
		return fmt.Sprintf("%s %s %s %q", h.Name, h.FileInfo().Mode(), h.Linkname, text)
	})
	want := []string{
		fmt.Sprintf("Dockerfile -rw-r--r--  %q", dockerfile),
		`link Lrwxrwxrwx run.sh ""`,
		`run.sh -rwxr-xr-x  "#!/bin/sh\n"`,
	}
	if got := slices.DeleteFunc(all, func(f string) bool { return strings.HasPrefix(f, ".dockerignore") }); !slices.Equal(got, want) {
		t.Errorf("the image has %q, want %q", got, want)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Labels["text"]; got != `a "b" $c 'd' %20 ü` {
		t.Errorf("the label is %q", got)
	}
}

// pull returns an image of the stack's registry, of an index the one for the
// default platform.
func (d deployed) pull(t *testing.T, uri string) v1.Image {
	t.Helper()
	image, err := d.pushed(t, uri).Image()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushed returns the manifest or index at the URI.
func (d deployed) pushed(t *testing.T, uri string) *remote.Descriptor {
	t.Helper()
	login, err := login(d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(uri)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Get(ref, remote.WithAuth(login))
	if err != nil {
		t.Fatal(err)
	}
	return descriptor
}

// files describes each file of an image, in order of the descriptions. It
// leaves out links that lead out of the image.
func files(t *testing.T, image v1.Image, describe func(header tar.Header, text []byte) string) (files []string) {
	t.Helper()
	layers := mutate.Extract(image)
	defer layers.Close()
	for archive := tar.NewReader(layers); ; {
		file, err := archive.Next()
		if err == io.EOF {
			slices.Sort(files)
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, describe(*file, text))
	}
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

// start starts a build without a source.
func (d deployed) start(t *testing.T, variables map[string]string) *runner.Build {
	t.Helper()
	return d.startWith(t, codebuild.StartBuildInput{EnvironmentVariablesOverride: plain(variables)})
}

func clones(t *testing.T, d deployed) {
	build := d.start(t, map[string]string{"TAG": d.tag, "GIT_URL": d.git.URL, "GIT_REF": d.git.Ref, "CONTEXT": cmp.Or(d.git.Subdir, ".")})
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
	variables := plain(map[string]string{"TAG": d.tag, "GIT_URL": "https://git.example/x.git"})
	variables = append(variables, types.EnvironmentVariable{
		Name: aws.String("GIT_TOKEN"), Value: aws.String("flexbuild-test/none"), Type: types.EnvironmentVariableTypeSecretsManager,
	})
	_, err := d.startWith(t, codebuild.StartBuildInput{EnvironmentVariablesOverride: variables}).Wait(t.Context())
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
	_, err := d.start(t, map[string]string{"TAG": "Not A Name"}).Wait(t.Context())
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
