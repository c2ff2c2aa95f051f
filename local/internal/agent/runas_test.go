package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// newOpenBench returns a bench whose builds other users can enter.
func newOpenBench(t *testing.T) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "builds-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	return newBench(t, func(o *Options) { o.Dir = dir })
}

const asNobody = `version: 0.2
run-as: nobody
env: {variables: {KEPT: one}, exported-variables: [WHO]}
phases:
  install:
    run-as: root
    commands:
      - echo "install=$(id -un) kept=$KEPT"; export KEPT=two; mkdir -m 777 ours; cd ours
  pre_build:
    commands:
      - echo "pre=$(id -un) groups=$(id -Gn) kept=$KEPT"; touch file; export WHO=$(id -un)
      - echo "in=$(basename "$PWD") program=$(../program) secret=$(cat ../secret)"; echo error >/dev/stderr
      - test -w .. || echo "not ours"; mktemp >/dev/null && echo "a temporary file"
  build:
    commands: ["false"]
    finally: ['echo "finally=$(id -un) succeeding=$CODEBUILD_BUILD_SUCCEEDING"']
  post_build:
    run-as: root
    commands: ['echo "post=$(id -un) file=$(stat -c %U file) who=$WHO"']
`

// Root runs commands as others. Without root, the engine says what to do.
func TestCommandsRunAsTheUserOfRunAs(t *testing.T) {
	b := newOpenBench(t)
	b.upload(t, "source.zip", zipped(t, zipEntry{"program", 0o700, "#!/bin/sh\necho ran\n"}, zipEntry{"secret", 0o600, "read"}))
	r := b.run(t, source(types.SourceTypeS3, bucket+"/source.zip"), buildspec(asNobody))
	if os.Geteuid() != 0 {
		if want := "only root runs commands as others: start it as root, or leave run-as out"; !strings.Contains(r.context(), want) {
			t.Errorf("the build is %s: %s", r.BuildStatus, r.context())
		}
		return
	}
	r.want(t, types.StatusTypeFailed, "\ninstall=root kept=one\n", "\npre=nobody groups=nogroup kept=two\n", "\nin=ours program=ran secret=read\n", "\nerror\n",
		"\nnot ours\n", "\na temporary file\n", "\nfinally=nobody succeeding=0\n", "\npost=root file=nobody who=nobody\n")
	if r.exported()["WHO"] != "nobody" {
		t.Errorf("exported are %v", r.exported())
	}
}

func TestUsersThatAreRefused(t *testing.T) {
	b := newBench(t) // whose folder only root can enter
	refused := func(text, want string) {
		t.Helper()
		r := b.run(t, buildspec(text))
		if !strings.HasPrefix(r.context(), "YAML_FILE_ERROR: run-as ") || !strings.Contains(r.context(), want) || strings.Contains(r.log, "Entering phase") {
			t.Errorf("the build is %s: %s", r.BuildStatus, r.context())
		}
	}
	refused("version: 0.2\nrun-as: no-such-user\nphases: {}", "no-such-user: this machine has no such user")
	refused("version: 0.2\nphases: {build: {run-as: '--reuid=0', commands: [id]}}", "--reuid=0: this machine has no such user")
	if os.Geteuid() == 0 {
		refused("version: 0.2\nphases: {post_build: {run-as: nobody, commands: [id]}}", "the user cannot enter "+b.dir)
	}
	b.run(t, buildspec("version: 0.2\nrun-as: root\nphases: {build: {commands: [echo same]}}")).want(t, map[bool]types.StatusType{true: types.StatusTypeSucceeded, false: types.StatusTypeFailed}[os.Geteuid() == 0])
}

// What a build of another user leaves running ends with the build.
func TestProcessesOfAnotherUserEndWithTheBuild(t *testing.T) {
	if os.Geteuid() != 0 {
		return // TestCommandsRunAsTheUserOfRunAs shows that there are none
	}
	b := newOpenBench(t)
	r := b.run(t, buildspec("version: 0.2\nrun-as: nobody\nphases: {build: {commands: ['sleep 1000 & echo \"pid=$!\"']}}"))
	r.want(t, types.StatusTypeSucceeded, "pid=")
	_, rest, _ := strings.Cut(r.log, "\npid=")
	pid, _, _ := strings.Cut(rest, "\n")
	if command, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.Contains(string(command), "sleep") {
		t.Errorf("process %s is left", pid)
	}
}
