package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
)

// asEngine and asCaller make the test's executable run as another program: as
// an engine that a test can kill, and as a command of a build that asks AWS for
// its identity.
const (
	asEngine = "flexbuild-test-engine"
	asCaller = "flexbuild-test-caller"
)

func TestMain(m *testing.M) {
	local.StandIn()
	if len(os.Args) > 1 && os.Args[1] == asEngine {
		runEngine(os.Args[2])
	}
	if len(os.Args) > 1 && os.Args[1] == asCaller {
		callAWS()
	}
	os.Exit(m.Run())
}

func runEngine(dir string) {
	engine, err := local.Start(context.Background(), local.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(engine.Endpoint().URL)
	select {}
}

// callAWS prints the caller's identity, and the error of a call that the role's
// policy does not allow.
func callAWS() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err == nil {
		var who *sts.GetCallerIdentityOutput
		if who, err = sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{}); err == nil {
			fmt.Println("I am", *who.Arn)
		}
		_, denied := codebuild.NewFromConfig(cfg).ListProjects(context.Background(), &codebuild.ListProjectsInput{})
		fmt.Println("ListProjects:", denied)
		_, login := ecr.NewFromConfig(cfg).GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
		fmt.Println("GetAuthorizationToken:", login)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(t *testing.T, options local.Options) *local.Engine {
	t.Helper()
	engine, err := local.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return engine
}

// startBuild runs commands, without a container builder, as the default stack's
// project does.
func startBuild(t *testing.T, cfg aws.Config, commands ...string) string {
	t.Helper()
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n"
	for _, c := range commands {
		spec += fmt.Sprintf("      - %q\n", c)
	}
	out, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &codebuild.StartBuildInput{
		ProjectName: aws.String("flexbuild"), SourceTypeOverride: types.SourceTypeNoSource,
		PrivilegedModeOverride: aws.Bool(false), BuildspecOverride: &spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Build.Id
}

// until polls a build until done says so.
func until(t *testing.T, cfg aws.Config, id string, done func(types.Build) bool) types.Build {
	t.Helper()
	client := codebuild.NewFromConfig(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		out, err := client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		if done(out.Builds[0]) {
			return out.Builds[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func complete(b types.Build) bool { return b.BuildComplete }

func TestBuildsActAsTheirRoleAndNoMore(t *testing.T) {
	engine := run(t, local.Options{Dir: t.TempDir()})
	cfg := engine.Endpoint().Config()
	if err := local.Deploy(t.Context(), cfg, buildspec.StackName, flexbuild.Template); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	build := until(t, cfg, startBuild(t, cfg, self+" "+asCaller), complete)
	events, err := cloudwatchlogs.NewFromConfig(cfg).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: build.Logs.GroupName, LogStreamName: build.Logs.StreamName, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for _, e := range events.Events {
		log.WriteString(*e.Message)
	}
	_, uuid, _ := strings.Cut(*build.Id, ":")
	for _, want := range []string{"I am arn:aws:sts::000000000000:assumed-role/", "/AWSCodeBuild-" + uuid, "not authorized to perform: codebuild:ListProjects", "GetAuthorizationToken: <nil>"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}

func TestAKilledEngineLeavesNothingInProgress(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	builds := t.TempDir()
	t.Setenv("TMPDIR", builds) // where an engine of root has its builds
	cmd := exec.Command(self, asEngine, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // it has been, if all went well
	line := make([]byte, 100)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	endpoint, err := local.ReadEndpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Deploy(t.Context(), endpoint.Config(), buildspec.StackName, flexbuild.Template); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "left") // a name of the test's own for a process
	id := startBuild(t, endpoint.Config(), "ln -s $(command -v sleep) "+left+"; (setsid env -i sh -c '"+left+" 600; true' &); sleep 600")
	for began := time.Now(); !running(t, left); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the build's command does not start")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	for began := time.Now(); running(t, left) || running(t, dir+"/builds/") || running(t, builds); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the build's command outlives the engine")
		}
	}

	// A process that the engine was about to start holds the lock until it runs
	// another program.
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := local.ReadEndpoint(dir)
		if errors.Is(err, local.ErrNotRunning) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("ReadEndpoint of a killed engine: %v", err)
		}
	}
	engine := run(t, local.Options{Dir: dir})
	if got := engine.Endpoint(); got.URL != endpoint.URL || got.SecretAccessKey != endpoint.SecretAccessKey {
		t.Errorf("the endpoint %+v became %+v", endpoint, got)
	}
	build := until(t, engine.Endpoint().Config(), id, complete)
	var reason string
	for _, p := range build.Phases {
		if p.PhaseType == types.BuildPhaseTypeBuild && len(p.Contexts) > 0 {
			reason = *p.Contexts[0].Message
		}
	}
	if build.BuildStatus != types.StatusTypeFault || reason == "" {
		t.Errorf("status %s, reason %q", build.BuildStatus, reason)
	}
}

// A build's commands run as another user although nobody but the engine's user
// can enter the state directory.
func TestRunAsNeedsNoWayIntoTheStateDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root runs commands as others
	}
	dir := filepath.Join(t.TempDir(), "state")
	builds, err := os.MkdirTemp("", "open-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(builds)
	if err := os.Chmod(builds, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", builds)
	engine := run(t, local.Options{Dir: dir})
	cfg := engine.Endpoint().Config()
	if err := local.Deploy(t.Context(), cfg, buildspec.StackName, flexbuild.Template); err != nil {
		t.Fatal(err)
	}
	spec := fmt.Sprintf("version: 0.2\nrun-as: nobody\nenv: {exported-variables: [WHO, ENTERS]}\nphases: {build: {commands: ['WHO=$(id -un)', 'ls %s || ENTERS=no']}}", dir)
	out, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &codebuild.StartBuildInput{
		ProjectName: aws.String("flexbuild"), SourceTypeOverride: types.SourceTypeNoSource, BuildspecOverride: &spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	build := until(t, cfg, *out.Build.Id, complete)
	exported := map[string]string{}
	for _, v := range build.ExportedEnvironmentVariables {
		exported[*v.Name] = *v.Value
	}
	if build.BuildStatus != types.StatusTypeSucceeded || exported["WHO"] != "nobody" || exported["ENTERS"] != "no" {
		t.Errorf("the build is %s, and exports %v", build.BuildStatus, exported)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(builds); err != nil || len(left) > 0 {
		t.Errorf("the engine left %v, %v", left, err)
	}
}

func TestOneEngineUsesADirectory(t *testing.T) {
	dir := t.TempDir()
	run(t, local.Options{Dir: dir})
	_, err := local.Start(t.Context(), local.Options{Dir: dir})
	if !errors.Is(err, local.ErrRunning) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second Start: %v", err)
	}
}

func TestTheEndpointIsFoundByItsDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := local.ReadEndpoint(dir); !errors.Is(err, local.ErrNotRunning) || !strings.Contains(err.Error(), "flexbuild local") {
		t.Errorf("before: %v", err)
	}
	engine := run(t, local.Options{Dir: dir})
	endpoint, err := local.ReadEndpoint(dir)
	if err != nil || endpoint != engine.Endpoint() {
		t.Errorf("running: %+v, %v", endpoint, err)
	}
	if info, err := os.Stat(dir + "/endpoint.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the endpoint's file: %v, %v", info, err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := local.ReadEndpoint(dir); !errors.Is(err, local.ErrNotRunning) {
		t.Errorf("after: %v", err)
	}
}

// A client that waits for an engine finds everything that the engine has
// deployed, even if an engine that was killed has left its endpoint behind.
func TestAnEngineIsFoundWhenItIsPrepared(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "endpoint.json"), []byte(`{"url": "http://127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	prepared := errors.New("not called")
	engine, err := local.Start(t.Context(), local.Options{Dir: dir, Prepare: func(ctx context.Context, e local.Endpoint) error {
		if found, err := local.ReadEndpoint(dir); !errors.Is(err, local.ErrNotRunning) {
			t.Errorf("while the engine prepares, %v is found, %v", found, err)
		}
		prepared = local.DeployIfAbsent(ctx, e.Config(), buildspec.StackName, flexbuild.Template, nil)
		return prepared
	}})
	if err != nil || prepared != nil {
		t.Fatal(err, prepared)
	}
	defer engine.Close()
	if found, err := local.ReadEndpoint(dir); err != nil || found.URL != engine.Endpoint().URL {
		t.Errorf("%v is found, %v", found, err)
	}
}

func TestAnEngineThatCannotPrepareDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	failure := errors.New("no stack")
	if _, err := local.Start(t.Context(), local.Options{Dir: dir, Prepare: func(context.Context, local.Endpoint) error { return failure }}); !errors.Is(err, failure) {
		t.Errorf("%v, want %v", err, failure)
	}
	if _, err := local.ReadEndpoint(dir); !errors.Is(err, local.ErrNotRunning) {
		t.Errorf("it is found all the same: %v", err)
	}
}

func TestAnAddressThatCannotBeIsRefusedWithAReason(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:80", ":4566", "127.0.0.1", "example.com:80"} {
		_, err := local.Start(t.Context(), local.Options{Dir: t.TempDir(), Addr: addr})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", addr)) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestALastAddressThatIsTakenIsSaid(t *testing.T) {
	dir := t.TempDir()
	engine := run(t, local.Options{Dir: dir})
	addr := strings.TrimPrefix(engine.Endpoint().URL, "http://")
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	squatter, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	_, err = local.Start(t.Context(), local.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), addr+", where the engine of "+dir+" listened last time, is taken") {
		t.Errorf("error = %v", err)
	}
}

func TestADirectoryKeepsItsRegion(t *testing.T) {
	dir := t.TempDir()
	if err := run(t, local.Options{Dir: dir, Region: "eu-west-1"}).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "eu-west-1") {
		t.Errorf("error = %v", err)
	}
}

func TestNobodyGetsInWithoutCredentials(t *testing.T) {
	engine := run(t, local.Options{Dir: t.TempDir()})
	for path, want := range map[string]int{"/": 403, "/bucket/key": 403, "/v2/": 401, "/v2/app/manifests/x": 401, "/_flexbuild/credentials/x": 404} {
		response, err := http.Get(engine.Endpoint().URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
}

func TestDeployLeavesAStackThatIsUpToDate(t *testing.T) {
	engine := run(t, local.Options{Dir: t.TempDir()})
	cfg := engine.Endpoint().Config()
	for range 2 {
		if err := local.Deploy(t.Context(), cfg, "s", flexbuild.Template); err != nil {
			t.Fatal(err)
		}
	}
	if err := local.DeployIfAbsent(t.Context(), cfg, "s", "not a template", nil); err != nil {
		t.Error(err)
	}
	err := local.Deploy(t.Context(), cfg, "t", `{"Resources":{"Cluster":{"Type":"AWS::Redshift::Cluster"}}}`)
	if err == nil || !strings.Contains(err.Error(), "AWS::Redshift::Cluster") {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestAStateDirectoryIsItsOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, local.Options{Dir: dir})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v, %v", info.Mode(), err)
	}
	shared := filepath.Join(t.TempDir(), "tmp")
	if err := errors.Join(os.Mkdir(shared, 0o777), os.Chmod(shared, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Dir: shared})
	if err == nil || !strings.Contains(err.Error(), shared+" is one that all users share") {
		t.Errorf("the error for a directory like /tmp is %v", err)
	}
}

func TestADamagedStateFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	if err := run(t, local.Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(whole); i++ { // all but the two pages that say where the others are
		whole[i] ^= 0x55
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = local.Start(t.Context(), local.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the error is %v", err)
	}
}

// running reports whether a process has text in its command line.
func running(t *testing.T, text string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, _ := os.ReadFile(file) // the process may have ended
		if strings.Contains(string(line), text) {
			return true
		}
	}
	return false
}
