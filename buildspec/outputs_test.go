package buildspec

import (
	"strings"
	"testing"
)

func TestOutputsOfOneBuilder(t *testing.T) {
	one := map[string]string{"ImagesContractVersion": "1", "ImagesProjectName": "images", "TopicName": "topic"}
	two := map[string]string{"AContractVersion": "1", "AProjectName": "a", "BContractVersion": "1", "BProjectName": "b"}
	bare := map[string]string{"ContractVersion": "1", "ProjectName": "bare", "BContractVersion": "1", "BProjectName": "b"}
	for name, test := range map[string]struct {
		stack         map[string]string
		prefix        string
		project, says string // one of them
	}{
		"the only one":          {one, "", "images", ""},
		"one by its name":       {two, "B", "b", ""},
		"the one with none":     {bare, "", "bare", ""},
		"another beside it":     {bare, "B", "b", ""},
		"one of two":            {two, "", "", `no image builder has the output prefix "": those of the stack have ["A" "B"]`},
		"one that is not there": {one, "X", "", `"X": those of the stack have ["Images"]`},
		"no builder":            {map[string]string{"TopicName": "topic"}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			outputs, err := OutputsOf(test.stack, test.prefix)
			if got := outputs[OutputProjectName]; got != test.project {
				t.Errorf("project %q, want %q", got, test.project)
			}
			if (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %q", err, test.says)
			}
		})
	}
}

func TestSourceExpiryOfAStack(t *testing.T) {
	for text, want := range map[string]struct {
		days int
		says string
	}{
		"":    {1, ""}, // stacks that do not say so delete uploads after a day
		"7":   {7, ""},
		"0":   {0, `its output SourceExpiryInDays is "0", not a number of days from 1`},
		"1.5": {0, `its output SourceExpiryInDays is "1.5", not a number of days from 1`},
	} {
		outputs, err := ParseOutputs(map[string]string{OutputSourceExpiryInDays: text})
		if outputs.SourceExpiryInDays != want.days || (err != nil) != (want.says != "") || err != nil && err.Error() != want.says {
			t.Errorf("%q: %d days, error %v, want %d and %q", text, outputs.SourceExpiryInDays, err, want.days, want.says)
		}
	}
}
