package fleetbench

import (
	"testing"
)

func TestQuick(t *testing.T) {
	for _, logs := range []bool{true, false} {
		for _, w := range []who{flexbuildClient, poller5, poller30} {
			t.Logf("%+v", measure(t, w, 100, logs))
		}
	}
}
func TestMid(t *testing.T) {
	t.Logf("%+v", measure(t, flexbuildClient, 300, true))
	t.Logf("%+v", measure(t, flexbuildClient, 1000, false))
	t.Logf("%+v", measure(t, poller5, 1000, false))
	t.Logf("%+v", measure(t, poller30, 1000, false))
}
func TestRep(t *testing.T) {
	t.Logf("%+v", measure(t, flexbuildClient, 40, true))
}
