package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"
)

// wantQuiet checks that nobody writes to file any more.
func wantQuiet(t *testing.T, file string) {
	t.Helper()
	before, err := os.ReadFile(file)
	must(t, err)
	time.Sleep(200 * time.Millisecond)
	if after, _ := os.ReadFile(file); string(before) != string(after) {
		t.Error("a process of the build still runs")
	}
}

func TestMain(m *testing.M) {
	SupervisorMain()
	os.Exit(m.Run())
}

func waitFor(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
	}
	t.Fatalf("%s did not appear", file)
}

// restless starts a grandchild in a session of its own and without an
// environment. The grandchild ignores SIGTERM and writes to proof forever.
func restless(proof string) string {
	return "setsid env -i bash -c \"trap '' TERM; while sleep 0.02; do date +%s%N >" + proof + "; done\" & echo working; sleep 1000"
}

func TestStopInMidCommand(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Grace = 100 * time.Millisecond })
	for name, command := range map[string]string{"obedient": "", "stubborn": "trap '' TERM; "} {
		t.Run(name, func(t *testing.T) {
			proof := filepath.Join(t.TempDir(), "proof")
			id := b.start(t, commands("bash", "", command+restless(proof), "echo never"))
			waitFor(t, proof)
			out, err := b.StopBuild(context.Background(), &sdk.StopBuildInput{Id: &id})
			must(t, err)
			if out.Build.BuildStatus != types.StatusTypeStopped {
				t.Errorf("StopBuild answered %s", out.Build.BuildStatus)
			}
			r := b.wait(t, id)
			if !strings.HasSuffix(r.phases(), "PRE_BUILD:SUCCEEDED BUILD:STOPPED COMPLETED:") {
				t.Errorf("phases = %s", r.phases())
			}
			if r.want(t, types.StatusTypeStopped, "\nworking\n"); strings.Contains(r.log, "Running command echo never") {
				t.Error("the build went on")
			}
			wantQuiet(t, proof)
		})
	}
}

func TestTimeoutInMidCommand(t *testing.T) {
	clock := clockwork.NewFakeClockAt(time.Now())
	b := newBench(t, func(o *Options) { o.Clock = clock })
	proof := filepath.Join(t.TempDir(), "proof")
	id := b.start(t, commands("bash", "", restless(proof)))
	waitFor(t, proof)
	clock.Advance(time.Hour)
	r := b.wait(t, id)
	if !strings.HasSuffix(r.phases(), "BUILD:TIMED_OUT COMPLETED:") || r.context() != "BUILD_TIMED_OUT: Build has timed out. " {
		t.Errorf("phases = %s, context = %s", r.phases(), r.context())
	}
	wantQuiet(t, proof)
}

func TestCloseEndsRunningBuilds(t *testing.T) {
	b := newBench(t)
	proof := filepath.Join(t.TempDir(), "proof")
	id := b.start(t, commands("bash", "", restless(proof)))
	waitFor(t, proof)
	must(t, b.Close())
	b.wait(t, id).want(t, types.StatusTypeFault)
	wantQuiet(t, proof)
}

func TestStopWhileTheSourceIsDownloaded(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Grace = 100 * time.Millisecond })
	asked := make(chan struct{}, 100)
	url := silentServer(t, asked)
	id := b.start(t, source(types.SourceTypeGithub, url), buildspec("version: 0.2\nphases: {}"))
	<-asked
	_, err := b.StopBuild(context.Background(), &sdk.StopBuildInput{Id: &id})
	must(t, err)
	r := b.wait(t, id)
	if !strings.HasSuffix(r.phases(), "DOWNLOAD_SOURCE:STOPPED COMPLETED:") {
		t.Errorf("phases = %s", r.phases())
	}
}

// A build whose supervisor is gone fails, and leaves nothing behind.
func TestABuildThatKillsItsSupervisorFails(t *testing.T) {
	b := newBench(t)
	proof := filepath.Join(t.TempDir(), "proof")
	r := b.run(t, commands("bash", "", "trap '' TERM; (while sleep 0.02; do date +%s%N >'"+proof+"'; done) & sleep 0.2; kill -9 $PPID; sleep 1000"))
	if r.want(t, types.StatusTypeFailed); !strings.Contains(r.context(), errNoSupervisor.Error()) {
		t.Errorf("context = %s", r.context())
	}
	wantQuiet(t, proof)
}

// An orphan that ended must not stay as a zombie until the build ends.
func TestOrphansAreWaitedFor(t *testing.T) {
	b := newBench(t)
	r := b.run(t, commands("bash", "", "(sh -c 'echo $$ >orphan' &) ; sleep 0.2; while kill -0 $(cat orphan); do sleep 0.01; done; echo gone"))
	r.want(t, types.StatusTypeSucceeded, "\ngone\n")
}

func TestAProgramThatCannotSuperviseRunsNoBuild(t *testing.T) {
	b := newBench(t)
	supervises.Store(false)
	defer supervises.Store(true)
	r := b.run(t, commands("sh", "", "echo never"))
	if r.want(t, types.StatusTypeFailed); !strings.Contains(r.context(), "call local.StandIn() first in main") || !strings.Contains(r.phases(), "PROVISIONING:FAILED") {
		t.Errorf("phases = %s, context = %s", r.phases(), r.context())
	}
}
