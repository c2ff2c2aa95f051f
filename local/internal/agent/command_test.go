package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
)

func commands(shell string, exported string, lines ...string) edit {
	text := fmt.Sprintf("version: 0.2\nenv:\n  shell: %s\n  variables: {FROM_SPEC: spec, FROM_PROJECT: spec, FROM_CALL: spec}\n"+
		"  exported-variables: [%s]\nphases:\n  build:\n    commands:\n", shell, exported)
	for _, l := range lines {
		text += fmt.Sprintf("      - %q\n", l)
	}
	return buildspec(text)
}

func TestWhatLivesOnBetweenCommands(t *testing.T) {
	b := newBench(t)
	for _, shell := range []string{"sh", "bash"} {
		t.Run(shell, func(t *testing.T) {
			r := b.run(t, commands(shell, "EXPORTED, PLAIN, NEVER, STRANGE, FROM_SPEC, FROM_PROJECT, FROM_CALL",
				"export EXPORTED=1", "PLAIN=2",
				`STRANGE="it's \"q\" \$(x) `+"\n"+`\\ é"`,
				"mkdir 'a folder'; cd 'a folder'",
				"f() { echo function; }", "set -e",
				`echo "in ${PWD##*/}"`,
				"f || echo no function",
				"false; echo after false", // set -e does not live on
			), func(in *sdk.StartBuildInput) {
				in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("FROM_CALL", "$(literal) 'call'")}
			})
			r.want(t, types.StatusTypeSucceeded, "\nin a folder\n", "no function\n", "\nafter false\n")
			want := map[string]string{"EXPORTED": "1", "PLAIN": "2", "STRANGE": "it's \"q\" $(x) \n\\ é",
				"FROM_SPEC": "spec", "FROM_PROJECT": "project", "FROM_CALL": "$(literal) 'call'"}
			if diff := cmp.Diff(want, r.exported()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVariablesAreExportedThoughALaterCommandFails(t *testing.T) {
	b := newBench(t)
	r := b.run(t, commands("bash", "RESULT", "RESULT=good", "RESULT=bad; exit 3"))
	r.want(t, types.StatusTypeFailed)
	if got := r.exported()["RESULT"]; got != "good" {
		t.Errorf("RESULT = %q", got)
	}
}

func TestTheEnvironmentIsMadeFromNothing(t *testing.T) {
	t.Setenv("OF_THE_ENGINE", "leaked")
	b := newBench(t)
	r := b.run(t, commands("sh", "", "env | sort | sed 's/^/>/'", "busybox wget -q -O - --header \"Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN\" $AWS_CONTAINER_CREDENTIALS_FULL_URI"))
	r.want(t, types.StatusTypeSucceeded, ">AWS_DEFAULT_REGION=us-east-1\n", ">AWS_REGION=us-east-1\n", ">LANG=C.UTF-8\n", ">BUILDKIT_HOST=unix:///x\n",
		">PATH=/first:/usr/local/sbin:", ">CODEBUILD_BUILD_ID="+*r.Id+"\n", ">CODEBUILD_BUILD_ARN="+*r.Arn+"\n", ">CODEBUILD_BUILD_NUMBER=1\n",
		">CODEBUILD_BUILD_IMAGE=image\n", ">CODEBUILD_INITIATOR=root\n", ">CODEBUILD_BUILD_SUCCEEDING=1\n", ">CODEBUILD_CI=true\n",
		">CODEBUILD_LOG_PATH="+*r.Logs.StreamName+"\n", ">AWS_ENDPOINT_URL=http://127.0.0.1:", `"AccessKeyId":"ASIA`)
	if strings.Contains(r.log, "leaked") {
		t.Error("a variable of the engine reached the build")
	}
	for line := range strings.SplitSeq(r.log, "\n") {
		if home, ok := strings.CutPrefix(line, ">HOME="); ok && !strings.HasPrefix(home, b.dir+"/build-") {
			t.Errorf("HOME=%s", home)
		}
	}
}

func TestLongAndStrangeOutput(t *testing.T) {
	b := newBench(t)
	r := b.run(t, commands("bash", "",
		`printf 'a\rb\n\xff\xfe\n'`,
		`head -c 700000 /dev/zero | tr '\0' x; echo END`,
		`for i in $(seq 5000); do echo line $i; done`,
		`echo to stderr >&2`))
	r.want(t, types.StatusTypeSucceeded, "\na\rb\n", "\n\uFFFD\n", strings.Repeat("x", 700_000)+"END\n", "\nline 1\nline 2\n", "\nline 5000\n\n", "\nto stderr\n")
}

// A log of more than one call of PutLogEvents, by the number of its events and
// by their size.
func TestALongLogIsComplete(t *testing.T) {
	b := newBench(t)
	r := b.run(t, commands("bash", "", `seq -f 'line %.0f' 30000`, `for i in 1 2 3 4; do head -c 400000 /dev/zero | tr '\0' $i; echo; done`))
	var want strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&want, "line %d\n", i+1)
	}
	r.want(t, types.StatusTypeSucceeded, want.String(), strings.Repeat("1", 400_000)+"\n"+strings.Repeat("2", 400_000)+"\n"+strings.Repeat("3", 400_000)+"\n"+strings.Repeat("4", 400_000)+"\n")
}

func TestABackgroundProcessNeitherBlocksNorSurvives(t *testing.T) {
	b := newBench(t)
	proof := filepath.Join(t.TempDir(), "proof")
	r := b.run(t, commands("bash", "",
		"(trap '' TERM HUP; setsid env -i bash -c 'echo started; while sleep 0.05; do date +%s%N >"+proof+"; done') & sleep 0.2",
		"echo next"))
	r.want(t, types.StatusTypeSucceeded, "\nnext\n", "started\n")
	wantQuiet(t, proof)
}

func TestReadOnlyTreesAreRemoved(t *testing.T) {
	b := newBench(t)
	b.run(t, commands("sh", "", "mkdir -p a/b; touch a/b/c; chmod 0 a/b; chmod 500 a")).want(t, types.StatusTypeSucceeded)
}

func TestWorkFoldersArePrivateAndThoseOfAKilledEngineGo(t *testing.T) {
	b := newBench(t)
	folder, err := newWorkFolder(b.dir)
	must(t, err)
	if info, err := os.Stat(folder.root); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	_, err = New(b.agent.Options)
	must(t, err)
	b.wantNothingLeft(t)
}

func BenchmarkBuildOfOneCommand(b *testing.B) {
	bench := newBench(b)
	for b.Loop() {
		bench.run(b, commands("bash", "", "true")).want(b, types.StatusTypeSucceeded)
	}
}
