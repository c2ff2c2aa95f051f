package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/jonboulle/clockwork"
)

// TestALogSaysWhereItHasAHole simulates a full disk for a while.
func TestALogSaysWhereItHasAHole(t *testing.T) {
	var kept strings.Builder
	var full error
	failures := 0
	l := newBuildLog(clockwork.NewFakeClock(), func(events []types.InputLogEvent) error {
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
	l := newBuildLog(clockwork.NewFakeClock(), func(events []types.InputLogEvent) error {
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
