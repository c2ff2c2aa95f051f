package local

import (
	"strings"
	"testing"
)

func TestEngineIsRefusedOnWindows(t *testing.T) {
	if err := checkSystem("windows"); err == nil || !strings.Contains(err.Error(), "Windows Subsystem for Linux") {
		t.Errorf("on Windows: %v", err)
	}
	for _, name := range []string{"linux", "darwin"} {
		if err := checkSystem(name); err != nil {
			t.Errorf("on %s: %v", name, err)
		}
	}
}
