package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwltypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"
)

// TestALogSaysWhereItHasAHole simulates a full disk for a while.
func TestALogSaysWhereItHasAHole(t *testing.T) {
	var kept strings.Builder
	var full error
	failures := 0
	l := newBuildLog(clockwork.NewFakeClock(), func(events []cwltypes.InputLogEvent) error {
		for _, e := range events {
			if full == nil {
				kept.WriteString(*e.Message)
			}
		}
		return full
	}, func(error) { failures++ })
	step := func(line string, err error) {
		l.flush() // so that the flusher finds nothing
		full = err
		l.mu.Lock()
		l.pending = append(l.pending, event(time.Now(), line+"\n"))
		l.mu.Unlock()
		l.flush()
	}
	step("first", nil)
	step("second", errors.New("no space left on device"))
	step("third", errors.New("no space left on device"))
	step("fourth", nil)
	step("fifth", nil)
	l.close()
	lines := strings.Split(kept.String(), "\n")
	if len(lines) != 5 || lines[0] != "first" || !strings.HasSuffix(lines[1], " 2 events of this log are lost here") || lines[2] != "fourth" || lines[3] != "fifth" {
		t.Errorf("the log is %q", lines)
	}
	if failures != 2 {
		t.Errorf("%d failures were told", failures)
	}
}

// TestEmptyLinesDoNotPileUp: a build may print them faster than the log is
// kept.
func TestEmptyLinesDoNotPileUp(t *testing.T) {
	most := 0
	l := newBuildLog(clockwork.NewFakeClock(), func(events []cwltypes.InputLogEvent) error {
		most = max(most, len(events))
		return nil
	}, nil)
	for range 500_000 {
		l.line("")
	}
	l.close()
	if most > 50_000 {
		t.Errorf("%d events were pending at once", most)
	}
}

// The end of a log cannot be stored, so the log cannot say that it is missing.
func TestABuildSaysThatItsLogIsIncomplete(t *testing.T) {
	const mayNotLog = `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"logs:PutLogEvents","Resource":"*"}]}`
	for name, end := range map[string]struct {
		rest   string // seconds
		status types.StatusType
		phase  types.BuildPhaseType
	}{
		"succeeded": {"0", types.StatusTypeSucceeded, types.BuildPhaseTypeFinalizing},
		"stopped":   {"1000", types.StatusTypeStopped, types.BuildPhaseTypeBuild},
	} {
		t.Run(name, func(t *testing.T) {
			var engine bytes.Buffer
			b := newBench(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&engine, nil)) })
			dir := t.TempDir()
			id := b.start(t, commands("sh", "", "cd "+dir+"; touch begun; until [ -e rest ]; do sleep 0.01; done; echo lost; touch printed; sleep $(cat rest)"))
			waitFor(t, filepath.Join(dir, "begun"))
			b.role(t, trust, mayNotLog)
			must(t, os.WriteFile(filepath.Join(dir, "seconds"), []byte(end.rest), 0o600))
			must(t, os.Rename(filepath.Join(dir, "seconds"), filepath.Join(dir, "rest")))
			waitFor(t, filepath.Join(dir, "printed"))
			if end.status == types.StatusTypeStopped {
				_, err := b.StopBuild(context.Background(), &sdk.StopBuildInput{Id: &id})
				must(t, err)
			}
			r := b.wait(t, id)
			r.want(t, end.status)
			last := r.Phases[len(r.Phases)-2] // COMPLETED follows
			context := last.Contexts[len(last.Contexts)-1]
			if last.PhaseType != end.phase || last.PhaseStatus != end.status || aws.ToString(context.StatusCode) != "LOG_INCOMPLETE" ||
				!regexp.MustCompile(`^the log is incomplete: [1-9]\d* of its events are lost, .*logs:PutLogEvents`).MatchString(*context.Message) {
				t.Errorf("%s is %s, with %s: %s", last.PhaseType, last.PhaseStatus, *context.StatusCode, *context.Message)
			}
			if strings.Contains(r.log, "\nlost\n") || !strings.Contains(engine.String(), "lines of a build's log are lost") {
				t.Errorf("the build's log is %s, the engine's %s", r.log, engine.String())
			}
		})
	}
}
