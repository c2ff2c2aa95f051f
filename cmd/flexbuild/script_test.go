package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/dockertest"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

func TestMain(m *testing.M) {
	local.StandIn()
	testscript.Main(withStandIns{m}, map[string]func(){"flexbuild": mainForScripts})
}

// withStandIns runs the tests with the stand-ins of docker and aws and with
// BuildKit, also on a machine that has a Docker daemon.
type withStandIns struct{ m *testing.M }

func (w withStandIns) Run() int {
	if err := os.Setenv("FLEXBUILD_BUILD_TOOLS", "standin"); err != nil {
		panic(err)
	}
	return w.m.Run()
}

// The scripts run the command as people do, against one engine that really
// builds, with this project's own repository served over HTTP.
//
//	$BASE     an image with a shell, in the engine's registry
//	$REGISTRY that registry
//	$PLATFORM this machine's
//	$MACHINE  this machine's, as uname names it
//	$GIT      the repository's URL
//	$COMMIT   its commit
//	$ARTICLE  the URL of a repository with a Dockerfile at its top
//	$TOKEN    what a token has behind its mark
//	$PROJECT  this project's folder, with its cdk.json
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, engine(t), testscript.Params{Dir: "testdata/script"})
}

// The scripts of what a Docker daemon does by itself, with the machine's own
// docker and aws and a Docker daemon in place of the stand-ins and BuildKit.
func TestScriptsWithDocker(t *testing.T) {
	t.Setenv("DOCKER_HOST", dockertest.Daemon(t))
	t.Setenv("FLEXBUILD_BUILD_TOOLS", "machine")
	runScripts(t, engine(t), testscript.Params{Files: []string{"testdata/script/secrets.txtar", "testdata/script/hostile.txtar"}})
}

// The article's builds from a repository, where a build keeps nothing of the
// project's source: in TestScripts it keeps everything.
func TestScriptsWhereNothingIsInherited(t *testing.T) {
	t.Parallel()
	e := engine(t, localtest.WithInheritance(localtest.InheritNothing))
	runScripts(t, e, testscript.Params{Files: []string{"testdata/script/article.txtar"}})
}

// engine starts an engine with the default stack.
func engine(t *testing.T, options ...localtest.Option) *localtest.Engine {
	t.Helper()
	e := localtest.New(t, options...)
	e.Deploy(t, buildspec.StackName, flexbuild.Template)
	return e
}

func runScripts(t *testing.T, e *localtest.Engine, p testscript.Params) {
	server, commit := serveRepositories(t)
	base := buildBase(t, e)
	path := []string{installAWSCLI(t), filepath.Dir(cdkCLI(t))}
	project, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	caches := cacheEnv(t) // the scripts have another HOME
	outputs := t.TempDir()
	t.Cleanup(func() { checkOutputs(t, outputs) })
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("FLEXBUILD_STATE_DIR", e.Dir())
		env.Setenv("FLEXBUILD_TOOLS", tools())
		env.Setenv("FLEXBUILD_BUILD_TOOLS", os.Getenv("FLEXBUILD_BUILD_TOOLS"))
		env.Setenv("JSON_OUTPUTS", outputs)
		env.Setenv("TZ", "Asia/Kathmandu") // JSON has UTC everywhere
		env.Setenv("BASE", base)
		env.Setenv("REGISTRY", strings.TrimPrefix(e.Endpoint().URL, "http://"))
		env.Setenv("PLATFORM", "linux/"+runtime.GOARCH)
		env.Setenv("MACHINE", map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH])
		env.Setenv("GIT", server+"/project.git")
		env.Setenv("ARTICLE", server+"/test-ecr2")
		env.Setenv("COMMIT", commit)
		env.Setenv("PROJECT", project)
		env.Setenv("LONG", strings.Repeat("x", 5000))
		env.Setenv("TOKEN", strings.Repeat("A1b2", 9)) // as long as a token of a git host
		env.Setenv("HOME", env.WorkDir)
		env.Vars = append(env.Vars, caches...)
		env.Setenv("PATH", strings.Join(append(path, env.Getenv("PATH")), string(os.PathListSeparator)))
		return nil
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"pull":     pull,
		"await":    await,
		"setout":   setOut,
		"setid":    setID,
		"localenv": localEnv,
	}
	testscript.Run(t, p)
}

// tools returns where tools/install.sh puts programs.
func tools() string {
	if dir := os.Getenv("FLEXBUILD_TOOLS"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "flexbuild", "bin")
}

// localenv: sets the environment as eval "$(flexbuild local env)" does.
func localEnv(ts *testscript.TestScript, _ bool, _ []string) {
	for _, variable := range endpoint(ts).Env() {
		name, value, _ := strings.Cut(variable, "=")
		ts.Setenv(name, value)
	}
}

// endpoint returns the script's engine.
func endpoint(ts *testscript.TestScript) local.Endpoint {
	endpoint, err := local.ReadEndpoint(ts.Getenv("FLEXBUILD_STATE_DIR"))
	ts.Check(err)
	return endpoint
}

// pull REFERENCE FILE: pulls the image and prints the FILE in it.
func pull(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: pull REFERENCE FILE")
	}
	login, err := login(endpoint(ts).Config())
	ts.Check(err)
	ref, err := name.ParseReference(args[0])
	ts.Check(err)
	image, err := remote.Image(ref, remote.WithAuth(login))
	ts.Check(err)
	files := mutate.Extract(image)
	defer files.Close()
	tar := exec.Command("tar", "-xO", args[1])
	tar.Stdin = files
	text, err := tar.Output()
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", text)
}

func login(cfg aws.Config) (authn.Authenticator, error) {
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, err
	}
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	user, password, _ := strings.Cut(string(token), ":")
	return &authn.Basic{Username: user, Password: password}, err
}

// setout NAME: sets an environment variable to the last line of stdout.
func setOut(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	ts.Setenv(args[0], lines[len(lines)-1])
}

// await PATTERN COMMAND…: runs the command until its output matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for range 600 {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		ts.Check(exec.Command("sleep", "0.1").Run())
	}
	ts.Fatalf("%q did not come from %q:\n%s%s", args[0], args[1:], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// setid NAME: sets an environment variable to the build's id in the last
// command's output.
func setID(ts *testscript.TestScript, neg bool, args []string) {
	id := regexp.MustCompile(`flexbuild:[0-9a-f-]{36}`).FindString(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if id == "" {
		ts.Fatalf("no build is named")
	}
	ts.Setenv(args[0], id)
}

// serveRepositories serves a clone of this project's repository, project.git,
// and test-ecr2, which is like the one of the article that flexbuild began
// with.
func serveRepositories(t *testing.T) (url, commit string) {
	t.Helper()
	dir := t.TempDir()
	// The branches of whoever runs the tests stay out of it.
	git(t, "init", "--quiet", "--bare", "--initial-branch=main", dir+"/project.git")
	project, err := filepath.Abs(projectDir)
	if err != nil {
		t.Fatal(err)
	}
	git(t, "-C", dir+"/project.git", "fetch", "--quiet", project, "HEAD:main", "HEAD:release/v1")
	article := dir + "/test-ecr2"
	git(t, "init", "--quiet", "--initial-branch=main", article)
	if err := os.WriteFile(article+"/Dockerfile", []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, "-C", article, "add", ".")
	git(t, "-C", article, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "first")
	execPath := git(t, "--exec-path")
	server := httptest.NewServer(&cgi.Handler{
		Path: execPath + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL, git(t, "-C", dir+"/project.git", "rev-parse", "HEAD")
}

// installAWSCLI returns a folder with an aws that goes to $AWS_ENDPOINT_URL
// whatever its version; before 2.13 it does not by itself.
func installAWSCLI(t *testing.T) string {
	t.Helper()
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the AWS CLI is needed: apt-get install awscli (make test does)")
	}
	// Each call of a shim of pyenv takes twice the time of the program itself.
	if program, err := exec.Command("pyenv", "which", "aws").Output(); err == nil {
		aws = strings.TrimSpace(string(program))
	}
	dir := t.TempDir()
	// Version 1 would fetch what looks like a URL and send what it finds there.
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("[default]\ncli_follow_urlparam = false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// Where Python may not write beside its modules, it would compile some of
	// them in each call.
	script := fmt.Sprintf("#!/bin/sh\nPYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX='%s' HOME='%s' AWS_CONFIG_FILE='%s' exec '%s' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n",
		filepath.Join(cache, "flexbuild/python"), os.Getenv("HOME"), config, aws)
	if err := os.WriteFile(dir+"/aws", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cacheEnv returns the settings, as NAME=value, by which Go programs are
// compiled once, also those in clones, and the CDK's library is unpacked once.
// The CDK's own check of templates, which takes longer than all else that the
// CDK does, is off: the tests of infra have it.
func cacheEnv(t *testing.T) []string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	builds, modules, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return []string{
		"GOCACHE=" + builds, "GOMODCACHE=" + modules, "GOFLAGS=-trimpath",
		"JSII_RUNTIME_PACKAGE_CACHE_ROOT=" + filepath.Join(dir, "aws/jsii/package-cache"), "CDK_VALIDATION=false",
	}
}

// cdkCLI returns the CDK CLI that tools/install.sh installed.
func cdkCLI(t *testing.T) string {
	t.Helper()
	cdk := filepath.Join(tools(), "cdk")
	if _, err := os.Stat(cdk); err != nil {
		t.Fatalf("the CDK CLI is needed: tools/install.sh cdk (make test does): %v", err)
	}
	return cdk
}

// git runs git with a configuration of the tests' own. It trusts this project's
// repository, which root may test in another user's clone.
func git(t *testing.T, args ...string) string {
	t.Helper()
	config, err := filepath.Abs("testdata/gitconfig")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+config)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

// buildBase builds testdata/busybox, as a user would.
func buildBase(t *testing.T, e *localtest.Engine) string {
	t.Helper()
	context := t.TempDir()
	copyFile(t, "testdata/busybox/Dockerfile", filepath.Join(context, "Dockerfile"))
	copyFile(t, "/bin/busybox", filepath.Join(context, "busybox"))
	source := runner.Dir(context)
	client, err := runner.New(t.Context(), e.Config(), buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.Run(t.Context(), runner.Request{Source: source, Tags: []string{"app:base"}}, runner.WithLogs(os.Stderr))
	if err != nil {
		t.Fatalf("build the base image: %v", err)
	}
	return result.ImageURI
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
