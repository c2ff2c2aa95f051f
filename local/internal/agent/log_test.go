package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/logs"
)

// TestALogSaysWhereItHasAHole fills the disk, so to speak, and makes room again.
func TestALogSaysWhereItHasAHole(t *testing.T) {
	var kept strings.Builder
	var full error
	failures := 0
	l := newBuildLog(clockwork.NewFakeClock(), func(events []logs.Event) error {
		for _, e := range events {
			if full == nil {
				kept.WriteString(e.Message)
			}
		}
		return full
	}, func(error) { failures++ })
	step := func(line string, err error) {
		l.flush() // so that the flusher finds nothing
		full = err
		l.mu.Lock()
		l.pending = append(l.pending, logs.Event{Message: line + "\n"})
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

// TestEmptyLinesDoNotPileUp: a build may print them faster than the log is kept.
func TestEmptyLinesDoNotPileUp(t *testing.T) {
	most := 0
	l := newBuildLog(clockwork.NewFakeClock(), func(events []logs.Event) error {
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
