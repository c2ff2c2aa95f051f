package machine

import (
	"bytes"
	"errors"
	"maps"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// build is one run of the buildspec.
type build struct {
	files  map[string]string // of the source
	params buildspec.Params
	env    map[string]string // what the stack or the test sets
}

// with returns the build with one more variable of the stack or the test.
func (b build) with(name, value string) build {
	b.env = maps.Clone(b.env)
	if b.env == nil {
		b.env = map[string]string{}
	}
	b.env[name] = value
	return b
}

// result is what came out of a build.
type result struct {
	log    string
	status int
	digest string // that the build exported

	took     time.Duration // from the first command's start to the last one's end
	toBuildx time.Duration // from the first command's start to the first line of docker build
	cpu      time.Duration // processor time of all processes of the machine
}

// buildLog is what a build prints. It notes when docker build prints its first
// line.
type buildLog struct {
	text   bytes.Buffer
	buildx time.Time
}

func (l *buildLog) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	if l.buildx.IsZero() && bytes.Contains(l.text.Bytes(), []byte("#0 building with ")) {
		l.buildx = time.Now()
	}
	return n, err
}

// run runs the commands of the buildspec's build phase as the agent does.
func (b build) run(t testing.TB, m *machine) result {
	t.Helper()
	return b.runCommands(t, m, commands(t))
}

// runCommands runs commands of a shell as the agent does. The last one may
// print a zero byte and a digest.
func (b build) runCommands(t testing.TB, m *machine, commands string) result {
	t.Helper()
	id := uuid.NewString()
	source := "/codebuild/output/src" + id + "/src"
	for name, content := range b.files {
		m.write(t, source+"/"+name, content)
	}
	cmd := m.command(t, "bash", "-c", "cd "+source+"\n"+commands)
	cmd.Env = append(cmd.Env, b.environment(id, source)...)
	var out buildLog
	cmd.Stdout, cmd.Stderr = &out, &out
	begin, cpu := time.Now(), m.cpu(t)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, &out.text)
	}
	took := time.Since(begin)
	cpu = m.cpu(t) - cpu + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	log, digest, _ := strings.Cut(out.text.String(), "\x00")
	return result{log, cmd.ProcessState.ExitCode(), digest, took, out.buildx.Sub(begin), cpu}
}

// environment returns what CodeBuild, the stack and the caller set.
func (b build) environment(id, source string) []string {
	env := []string{
		"CODEBUILD_CI=true", "CODEBUILD_INITIATOR=tester",
		"CODEBUILD_BUILD_ID=flexbuild:" + id, "CODEBUILD_SRC_DIR=" + source,
		"CODEBUILD_BUILD_ARN=arn:aws:codebuild:eu-west-1:123456789012:build/flexbuild:" + id,
		"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=" + credentialsPath,
		// What a stack sets by default.
		"REGISTRY=" + ecr, "CACHE_REPOSITORY=flexbuild-cache",
		"MIRRORS=docker.io=" + strings.Join(buildspec.DockerHubMirrors(), " docker.io="),
	}
	for _, v := range b.params.Environment() {
		env = append(env, v.Name+"="+v.Value)
	}
	for name, value := range b.env {
		env = append(env, name+"="+value)
	}
	return env
}

// succeed runs the build, which must succeed.
func (b build) succeed(t testing.TB, m *machine) result {
	t.Helper()
	r := b.run(t, m)
	if r.status != 0 {
		t.Fatalf("the build ended with status %d:\n%s", r.status, r.log)
	}
	return r
}

// commands returns the commands of the build phase and one that prints the
// digest which they exported.
func commands(t testing.TB) string {
	t.Helper()
	var spec struct {
		Phases map[string]struct{ Commands []string }
	}
	must(t, yaml.Unmarshal([]byte(buildspec.Source()), &spec))
	return "set -e\n" + strings.Join(append(spec.Phases["build"].Commands, `printf '\0%s' "$IMAGE_DIGEST"`), "\n")
}

// notes returns what the script noted.
func (r result) notes() []string { return r.said("note") }

// said returns what the script said in lines of a kind.
func (r result) said(kind string) []string {
	return firsts(regexp.MustCompile(`(?m)^\[flexbuild \S+\] `+kind+` (.*)`), r.log)
}

// driver returns the driver of the builder that buildx used.
func (r result) driver() string {
	return strings.Join(firsts(regexp.MustCompile(`(?m)^#0 building with .* instance using (\S+) driver`), r.log), " ")
}

// steps returns the steps of the Dockerfile which ran, and those that were
// found in the cache.
func (r result) steps() (ran, cached []string) {
	const step = `(?m)^(#\d+) \[(?:\S+ )?\d+/\d+\] ((?:RUN|COPY) .*)`
	found := map[string]bool{}
	for _, id := range firsts(regexp.MustCompile(`(?m)^(#\d+) CACHED`), r.log) {
		found[id] = true
	}
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(step).FindAllStringSubmatch(r.log, -1) {
		switch id, name := match[1], match[2]; {
		case seen[id]:
		case found[id]:
			cached = append(cached, name)
		default:
			ran = append(ran, name)
		}
		seen[match[1]] = true
	}
	return ran, cached
}

func firsts(of *regexp.Regexp, text string) []string {
	var all []string
	for _, match := range of.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}
