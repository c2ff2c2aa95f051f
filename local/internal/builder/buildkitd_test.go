package builder

import (
	"bufio"
	"context"
	"encoding/base64"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/standin"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// engineVariable makes the test binary run as an engine that will be killed. It
// starts buildkitd in the folder that the variable names.
const engineVariable = "BUILDER_TEST_ENGINE"

func TestMain(m *testing.M) {
	standin.Main()
	if dir := os.Getenv(engineVariable); dir != "" {
		beAnEngine(dir)
	}
	os.Exit(m.Run())
}

func beAnEngine(dir string) {
	env, err := New(Options{Dir: dir, Mode: StandIn}).Environment(context.Background())
	if err != nil {
		os.Stdout.WriteString("error " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(strings.Join(env.Variables, " ") + "\n")
	select {} // until it is killed
}

// needBuildkitd skips a test on a machine where no buildkitd can run.
func needBuildkitd(t *testing.T) {
	t.Helper()
	if _, err := look(t.Context(), StandIn).planBuildkitd(); err != nil {
		t.Skip(err)
	}
}

func start(t *testing.T, dir string) (*Builder, Environment) {
	t.Helper()
	b := New(Options{Dir: dir, Mode: StandIn})
	env, err := b.Environment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, env
}

// A registry on loopback with a repository app, and the password to push to it.
type registry struct{ host, password string }

func newRegistry(t *testing.T) (*ecr.Service, registry) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	users, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	if err != nil {
		t.Fatal(err)
	}
	service, err := ecr.New(ecr.Options{Store: db, Clock: clockwork.NewRealClock(), Region: "us-east-1", Dir: t.TempDir(), Host: host})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app", "cache"} {
		if _, err := service.AddRepository(ecr.Repository{Repository: types.Repository{RepositoryName: &name}}); err != nil {
			t.Fatal(err)
		}
	}
	server.Config.Handler = wire.New(wire.Config{Region: "us-east-1", IAM: users, Registry: service})
	server.Start()
	out, err := service.GetAuthorizationToken(iam.WithPrincipal(t.Context(), iam.Root()), nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	return service, registry{host: host, password: strings.TrimPrefix(string(token), "AWS:")}
}

// contextWithShell returns a build context whose Dockerfile has RUN steps, on
// nothing but busybox.
func contextWithShell(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v: apt-get install busybox-static (make test does)", err)
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("busybox", string(busybox), 0o755)
	write("Dockerfile", `FROM scratch
COPY busybox /bin/sh
RUN echo hello > /hello
`, 0o644)
	return dir
}

const buildScript = `set -euo pipefail
printf %s "$PASSWORD" | docker login --username AWS --password-stdin "$REGISTRY"
docker buildx create --name test --driver remote "$BUILDKIT_HOST"
docker buildx inspect --bootstrap test
docker buildx build --builder test --push -t "$REGISTRY/app:1" -t "$REGISTRY/app:2" --metadata-file metadata.json --progress plain \
	--cache-from "type=registry,ref=$REGISTRY/cache:app" \
	--cache-to "type=registry,ref=$REGISTRY/cache:app,mode=max,image-manifest=true,oci-mediatypes=true" "$CONTEXT"
`

func TestBuildAndPush(t *testing.T) {
	needBuildkitd(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20)) // no Unix socket fits in there
	b, env := start(t, dir)
	service, reg := newRegistry(t)
	work := t.TempDir()
	for range 2 { // the second one reads the cache of the first
		cmd := exec.Command("bash", "-c", buildScript)
		cmd.Dir = work
		cmd.Env = append(env.Variables, "PATH="+env.PathPrefix+":/usr/bin:/bin", "HOME="+t.TempDir(),
			"REGISTRY="+reg.host, "PASSWORD="+reg.password, "CONTEXT="+contextWithShell(t))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	said := builtDigest(t, filepath.Join(work, "metadata.json"))
	for _, tag := range []string{"1", "2"} {
		out, err := service.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := *out.ImageDetails[0].ImageDigest; got != said {
			t.Errorf("tag %s is on %s, and buildx said %s", tag, got, said)
		}
	}
	again, err := b.Environment(t.Context())
	if err != nil || strings.Join(again.Variables, " ") != strings.Join(env.Variables, " ") {
		t.Errorf("the second build has another builder: %v, %v", again.Variables, err)
	}
}

func TestBuildkitdIsStartedAgainAfterItsDeath(t *testing.T) {
	needBuildkitd(t)
	b, _ := start(t, t.TempDir())
	first := b.daemon
	first.cmd.Process.Kill()
	<-first.exited
	if _, err := b.Environment(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.daemon == first || !b.daemon.running() {
		t.Error("buildkitd was not started again")
	}
}

func TestBuildkitdAndItsContainersDieWithTheEngine(t *testing.T) {
	needBuildkitd(t)
	dir := t.TempDir()
	engine := exec.Command(os.Args[0])
	engine.Env = append(os.Environ(), engineVariable+"="+dir)
	stdout, err := engine.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	defer engine.Process.Kill()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	host, isHost := strings.CutPrefix(strings.TrimSpace(line), "BUILDKIT_HOST=")
	if err != nil || !isHost {
		t.Fatalf("the engine says %q, %v", line, err)
	}
	sleeper := "98765." + strconv.Itoa(os.Getpid()) // seconds: the argument by which the container's process is found
	build := startLongBuild(t, host, sleeper)
	eventually(t, "the RUN step runs", func() bool { return processWith("sleep", sleeper) })

	engine.Process.Kill()
	engine.Wait()
	build.Wait()
	eventually(t, "the RUN step and buildkitd have ended", func() bool {
		return !processWith("sleep", sleeper) && !processWith("buildkitd", dir)
	})
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts of the killed buildkitd stay: %v", err)
	}
	start(t, dir) // and nothing it left is in the way
}

// startLongBuild starts a build whose RUN step sleeps until it is killed.
func startLongBuild(t *testing.T, host, seconds string) *exec.Cmd {
	t.Helper()
	dir := contextWithShell(t)
	dockerfile := "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nRUN sleep " + seconds + "\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	buildx := look(t.Context(), StandIn).buildx
	cmd := exec.Command("sh", "-c", `"$0" create --name long --driver remote "$1" && exec "$0" build --builder long "$2"`, buildx, host, dir)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// processWith reports whether a process runs of that name with that text in its
// arguments.
func processWith(name, argument string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		command, arguments, _ := strings.Cut(string(line), "\x00")
		if err == nil && filepath.Base(command) == name && strings.Contains(arguments, argument) {
			return true
		}
	}
	return false
}

func TestLeftoverBuildkitdIsEnded(t *testing.T) {
	needBuildkitd(t)
	dir := t.TempDir()
	m := look(t.Context(), StandIn)
	left, err := startBuildkitd(t.Context(), Options{Dir: dir}, plan{buildkitd: m.buildkitd, runc: m.runc})
	if err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	select {
	case <-left.exited: // once Wait has returned, which is after the process has ended
	case <-time.After(time.Minute):
		t.Error("the leftover still runs beside the new one")
	}
}

func TestFailedStartShowsTheLog(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("buildkitd runs on Linux only")
	}
	path := filepath.Join(t.TempDir(), "buildkitd")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho no such luck >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := startBuildkitd(t.Context(), Options{Dir: t.TempDir()}, plan{buildkitd: path, runc: "/bin/runc"})
	for _, want := range []string{"exit status 3", "no such luck", "buildkitd.log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// The root user of an unprivileged container lacks the capability.
func TestRootThatMayNotMountGetsAReason(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give up capabilities of root")
	}
	engine := exec.Command("setpriv", "--bounding-set=-sys_admin", os.Args[0])
	engine.Env = append(os.Environ(), engineVariable+"="+t.TempDir())
	out, err := engine.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "buildkitd needs CAP_SYS_ADMIN") || !strings.Contains(string(out), "--privileged") {
		t.Errorf("%v: %s", err, out)
	}
}
