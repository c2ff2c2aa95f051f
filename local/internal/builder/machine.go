package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A machine describes what this machine has for building.
type machine struct {
	linux, root     bool
	denied          string   // why root may not start buildkitd in namespaces of its own; empty if it may
	docker          string   // path of the docker client; empty if there is none, as in the other fields
	daemon          string   // version of the Docker daemon that answers
	silence         string   // why no Docker daemon of this machine answers the client
	dockerVariables []string // variables with which the client finds that daemon without the user's settings
	plugin          bool     // whether the client has buildx for every user
	buildx          string   // path
	buildkitd       string   // path
	runc            string   // path
	aws             string   // path of an AWS CLI that answers
	awsVersion      awsVersion
}

// probeTimeout is the time limit of each call of a command. The AWS CLI takes a
// second on a small machine.
const probeTimeout = 15 * time.Second

// look examines this machine. It does not run docker and aws if their stand-ins
// are wanted anyway.
func look(ctx context.Context, mode Mode) machine {
	m := machine{linux: runtime.GOOS == "linux", root: os.Geteuid() == 0}
	if mode != StandIn {
		var questions sync.WaitGroup
		questions.Go(func() { m.lookForDocker(ctx) })
		questions.Go(func() { m.lookForAWS(ctx) })
		questions.Wait()
	}
	if m.linux && m.root {
		m.denied = tryEnclosed()
	}
	m.buildx = findTool("buildx")
	if m.buildx == "" {
		m.buildx = findIn("docker-buildx", pluginDirs())
	}
	m.buildkitd = findTool("buildkitd")
	m.runc = cmp.Or(findTool("buildkit-runc"), findTool("runc"), findIn("runc", []string{"/usr/sbin", "/sbin"}))
	return m
}

// lookForDocker runs the client as its user would, and then as a build does,
// without the user's settings.
func (m *machine) lookForDocker(ctx context.Context) {
	if m.docker = findOnPath("docker"); m.docker == "" {
		return
	}
	var err error
	if m.daemon, err = output(ctx, os.Environ(), m.docker, "version", "--format", "{{.Server.Version}}"); err != nil {
		m.daemon, m.silence = "", complaint(err)
	}
	if m.daemon != "" {
		host, _ := output(ctx, os.Environ(), m.docker, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
		if !strings.HasPrefix(host, "unix://") { // a remote daemon cannot push to this machine's loopback interface
			m.daemon, m.silence = "", fmt.Sprintf("docker uses the one at %q, which cannot reach this machine's loopback interface", host)
		}
		m.dockerVariables = dockerVariables(host)
	}
	_, err = output(ctx, buildEnvironment(m.dockerVariables...), m.docker, "buildx", "version")
	m.plugin = err == nil
}

// dockerVariables returns variables that name the daemon of the user's current
// context, which builds do not see.
func dockerVariables(host string) []string {
	variables := []string{"DOCKER_HOST=" + host}
	for _, name := range []string{"DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
		if value := os.Getenv(name); value != "" {
			variables = append(variables, name+"="+value)
		}
	}
	return variables
}

func (m *machine) lookForAWS(ctx context.Context) {
	path := findOnPath("aws")
	if path == "" {
		return
	}
	text, err := output(ctx, buildEnvironment(), path, "--version")
	if version, ok := parseAWSVersion(text); ok && err == nil {
		m.aws, m.awsVersion = path, version
	}
}

// An awsVersion is the version of an AWS CLI: major and minor.
type awsVersion [2]int

var awsVersionText = lazyregexp.New(`^aws-cli/(\d+)\.(\d+)\.`)

// parseAWSVersion parses the output of aws --version.
func parseAWSVersion(text string) (awsVersion, bool) {
	match := awsVersionText().FindStringSubmatch(text)
	if match == nil {
		return awsVersion{}, false
	}
	major, err1 := strconv.Atoi(match[1])
	minor, err2 := strconv.Atoi(match[2])
	return awsVersion{major, minor}, err1 == nil && err2 == nil
}

// readsEndpoint reports whether an AWS CLI of this version reads
// AWS_ENDPOINT_URL. Versions from 1.29 and 2.13 on do.
func (v awsVersion) readsEndpoint() bool {
	switch v[0] {
	case 1:
		return v[1] >= 29
	case 2:
		return v[1] >= 13
	}
	return v[0] > 2
}

// buildEnvironment returns the environment of a command in a build, as far as
// it affects settings and plugins.
func buildEnvironment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=/nonexistent"}, more...)
}

// output runs a command and returns the first line that it prints.
func output(ctx context.Context, env []string, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = env
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, err
}

// complaint returns the last line that a failed command printed to stderr, or
// its error.
func complaint(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if text := strings.TrimSpace(string(exit.Stderr)); text != "" {
			return text[strings.LastIndex(text, "\n")+1:]
		}
	}
	return err.Error()
}

// findOnPath finds a command that is not one of our stand-ins, which are on the
// PATH of a build that runs builds.
func findOnPath(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if self, err := os.Executable(); err == nil && target == self {
			return ""
		}
	}
	return path
}

// findTool finds an executable in FLEXBUILD_TOOLS, on PATH, or in the folder of
// `make tools`.
func findTool(name string) string {
	if path := findIn(name, filepath.SplitList(os.Getenv("FLEXBUILD_TOOLS"))); path != "" {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return findIn(name, []string{filepath.Join(cache, "flexbuild", "bin")})
}

func findIn(name string, dirs []string) string {
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// pluginDirs returns the folders of docker's plugins: the user's, then the
// system's.
func pluginDirs() []string {
	config := os.Getenv("DOCKER_CONFIG")
	if home, err := os.UserHomeDir(); config == "" && err == nil {
		config = filepath.Join(home, ".docker")
	}
	dirs := []string{filepath.Join(config, "cli-plugins")}
	for _, dir := range []string{"/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"} {
		dirs = append(dirs, filepath.Join(dir, "docker", "cli-plugins"))
	}
	return dirs
}
