package buildspec

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The tests of this package run the real script in the real bash. Only docker
// and aws are stand-ins: testdata/recorder.
const (
	testDigest  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	testID      = "flexbuild:11111111-2222-3333-4444-555555555555"
	testBuilder = "flexbuild-11111111-2222-3333-4444-555555555555"
)

type call struct {
	name string
	args []string
}

func (c call) String() string { return c.name + " " + strings.Join(c.args, " ") }

// document is what the tests need of buildspec.yml.
type document struct {
	Env struct {
		Exported []string `yaml:"exported-variables"`
	}
	Phases map[string]struct{ Commands []string }
}

func parseSource(t testing.TB) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal([]byte(Source()), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// sandbox is a place for one run of the script.
type sandbox struct{ root, source, home, record, path string }

// newSandbox makes an empty source and a PATH with the commands that the script
// may call, and no others.
func newSandbox(t testing.TB) sandbox {
	t.Helper()
	root, err := os.MkdirTemp("", "s") // short, because it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	s := sandbox{root, root + "/sr c", root + "/ho *me", root + "/record", root + "/bin"}
	for _, dir := range []string{s.source, s.home, s.path, s.record + ".made/builder", s.record + ".made/container"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.stub(t, "docker", "aws", "iptables")
	for _, name := range []string{
		"awk", "basename", "bash", "cat", "cp", "date", "git", "grep", "gzip", "ln", "ls", "mkdir", "readlink", "rm",
		"sed", "sha256sum", "sleep", "tail", "tar", "tee", "timeout", "uname",
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		symlink(t, path, filepath.Join(s.path, name))
	}
	return s
}

// newSource returns a sandbox with a Dockerfile.
func newSource(t testing.TB) sandbox {
	t.Helper()
	s := newSandbox(t)
	s.write(t, "Dockerfile")
	return s
}

// stub puts the recorder in the place of commands.
func (s sandbox) stub(t testing.TB, names ...string) {
	t.Helper()
	recorder, err := filepath.Abs("testdata/recorder")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(s.path, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		symlink(t, recorder, path)
	}
}

func symlink(t testing.TB, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

func (s sandbox) write(t testing.TB, name string) { t.Helper(); s.writeText(t, name, "FROM scratch\n") }

func (s sandbox) writeText(t testing.TB, name, text string) {
	t.Helper()
	path := s.source + "/" + name
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

type ran struct {
	output   string
	status   int
	exported map[string]string
	calls    []call
	notes    []string // the texts of the script's marked lines
	errors   []string
	left     []string // builders and containers that were made and not removed
}

// answer returns a test's own answer to calls: a pattern of bash, an exit
// status and what is printed, to stdout if the call succeeds, else to stderr.
func answer(pattern string, status int, says string) string {
	return do(pattern, fmt.Sprintf("printf '%%s\\n' %s >&%d; exit %d", quote(says), 1+min(status, 1), status))
}

// do answers calls by a command of bash. Without an exit in it, the recorder's
// own answer follows.
func do(pattern, command string) string { return fmt.Sprintf("%s) %s ;;\n", pattern, command) }

// quote makes one word of bash of a text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// defaults returns the environment of a run unless the test changes it: a build
// of app:1 by a given BuildKit, on a machine without a BuildKit of its own.
func (s sandbox) defaults() map[string]string {
	return map[string]string{
		"PATH": s.path, "HOME": s.home, "TEST_RECORD": s.record, "TEST_PATH": os.Getenv("PATH"), "TEST_SOCKET": s.root + "/socket",
		"CODEBUILD_BUILD_ID": testID, "CODEBUILD_SRC_DIR": s.source,
		"CODEBUILD_BUILD_ARN": "arn:aws:codebuild:eu-west-1:123456789012:build/" + testID,
		"TAG":                 "app:1", "REGISTRY": "r.test", "CACHE_REPOSITORY": "cache", "BUILDKIT_HOST": "unix:///run/buildkit.sock",
		"TEST_DRIVER": "remote", "TEST_DIGEST": testDigest,
		// Bash takes functions from its environment: this one is the script's
		// "command -v buildkitd".
		"BASH_FUNC_command%%": `() { [[ $PATH == *:/usr/libexec/finch && -n ${TEST_BUILDKITD:-} && "$*" == "-v buildkitd" ]] && echo "$TEST_BUILDKITD"; }`,
	}
}

// run executes the commands of the build phase as the agent does, then looks at
// the variables. Whatever happens, the script's lines must be in order, and
// nothing may be left of what it made.
func (s sandbox) run(t testing.TB, env map[string]string, answers ...string) ran {
	t.Helper()
	return s.runCommands(t, parseSource(t).Phases["build"].Commands, env, answers...)
}

// foreign are lines of the bash that stands in for the agent.
var foreign = regexp.MustCompile(`(?m)^(bash: warning: setlocale: .*|Terminated)\n`)

func (s sandbox) runCommands(t testing.TB, commands []string, env map[string]string, answers ...string) ran {
	t.Helper()
	commands = append(slices.Clone(commands), `printf '\0%s\0%s\0%s' "$IMAGE_URI" "$IMAGE_DIGEST" "$SOURCE_COMMIT"`)
	cmd := exec.Command("bash", "-c", "set -e\n"+strings.Join(commands, "\n"))
	cmd.Dir = s.source
	all := s.defaults()
	maps.Copy(all, env)
	all["TEST_ANSWERS"] = strings.Join(answers, "")
	for name, value := range all {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, exported, _ := strings.Cut(foreign.ReplaceAllString(string(output), ""), "\x00")
	r := ran{output: text, status: cmd.ProcessState.ExitCode(), calls: s.calls(t), left: s.left(t)}
	if values := strings.Split(exported, "\x00"); len(values) == 3 {
		r.exported = map[string]string{varImageURI: values[0], varImageDigest: values[1], varSourceCommit: values[2]}
	}
	r.readLog(t)
	return r
}

// readLog takes the script's lines from the output. Its first line is "begin",
// its last one "done", and a failure has one line "error".
func (r *ran) readLog(t testing.TB) {
	t.Helper()
	log := NewLog(testID)
	for line := range strings.Lines(r.output) {
		switch l := log.Line(strings.TrimSuffix(line, "\n")); l.Kind {
		case Note:
			r.notes = append(r.notes, l.Text)
		case Error:
			r.errors = append(r.errors, l.Text)
		}
	}
	const marker = "[flexbuild " + testID + "] "
	if !strings.HasPrefix(r.output, marker+"begin\n") || !strings.HasSuffix(r.output, "\n"+marker+"done\n") || strings.Count(r.output, marker+"done\n") != 1 {
		t.Errorf("output does not begin with the script's line begin, and end with its only line done:\n%s", r.output)
	}
	if len(r.left) > 0 {
		t.Errorf("the script leaves %q:\n%s", r.left, r.output)
	}
	if stopped := r.status > 128; stopped {
		return
	}
	if failed := r.status != 0; failed != (len(r.errors) == 1) || len(r.errors) > 1 {
		t.Errorf("exit status %d with %d lines error:\n%s", r.status, len(r.errors), r.output)
	}
}

// left returns the builders and containers that there still are.
func (s sandbox) left(t testing.TB) []string {
	t.Helper()
	left, err := filepath.Glob(s.record + ".made/*/*")
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func (s sandbox) calls(t testing.TB) []call {
	t.Helper()
	text, err := os.ReadFile(s.record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var all []call
	for words := strings.Split(string(text), "\x00"); len(words) > 1; {
		count, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, call{words[0], words[2 : 2+count]})
		words = words[2+count:]
	}
	return all
}

// called returns the calls that begin with the given words, without these
// words.
func (r ran) called(words ...string) [][]string {
	var all [][]string
	for _, c := range r.calls {
		line := append([]string{c.name}, c.args...)
		if len(line) >= len(words) && slices.Equal(line[:len(words)], words) {
			all = append(all, line[len(words):])
		}
	}
	return all
}

// builds returns the arguments of the `docker buildx build` calls that push an
// image.
func (r ran) builds() [][]string { return r.buildx(false) }

// exports returns those of the calls that export a cache.
func (r ran) exports() [][]string { return r.buildx(true) }

func (r ran) buildx(export bool) [][]string {
	var all [][]string
	for _, args := range r.called("docker", "buildx", "build") {
		if slices.Contains(args, "--output=type=cacheonly") == export {
			all = append(all, args)
		}
	}
	return all
}

// option returns the value of an option of the only build that pushes, given as
// "--name value" or "--name=value"; "" if it has none.
func (r ran) option(t testing.TB, name string) string {
	t.Helper()
	if len(r.builds()) != 1 {
		t.Fatalf("builds %q, want one\n%s", r.builds(), r.output)
	}
	args := r.builds()[0]
	for i, arg := range args {
		if arg == name {
			return args[i+1]
		}
		if value, found := strings.CutPrefix(arg, name+"="); found {
			return value
		}
	}
	return ""
}

// fails checks how a run failed: with the status, a reason that contains says,
// and no push.
func (r ran) fails(t testing.TB, status int, says string) {
	t.Helper()
	if r.status != status || len(r.builds()) != 0 {
		t.Errorf("exit status %d, builds %q; want status %d and none\n%s", r.status, r.builds(), status, r.output)
	}
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], says) {
		t.Errorf("the reason is %q, want %q\n%s", r.errors, says, r.output)
	}
}

// works checks that an image was pushed, with these notes and no others: each a
// part of a note, in order.
func (r ran) works(t testing.TB, notes ...string) {
	t.Helper()
	if r.status != 0 || len(r.builds()) != 1 {
		t.Errorf("exit status %d, builds %q; want a push\n%s", r.status, r.builds(), r.output)
	}
	if len(r.notes) != len(notes) {
		t.Errorf("notes %q, want %q\n%s", r.notes, notes, r.output)
		return
	}
	for i, note := range notes {
		if !strings.Contains(r.notes[i], note) {
			t.Errorf("note %q, want one that says %q", r.notes[i], note)
		}
	}
}
