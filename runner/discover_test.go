package runner_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// A stack of two builders: one without an output prefix, one with a prefix and
// a parameter.
func TestEachBuilderOfAStackIsFound(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("../infra/testdata/two-builders.json")
	if err != nil {
		t.Fatal(err)
	}
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	engine.Deploy(t, "team", string(template))
	for name, want := range map[string]string{"team": "Stack-One-", "team.Two": "Stack-Two-", "/team/two": "Stack-Two-"} {
		c, err := runner.New(t.Context(), engine.Config(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Stack(); got.Name != name || !strings.HasPrefix(got.ProjectName, want) || got.SourceBucketName == "" {
			t.Errorf("%s is %+v, want a project %s…", name, got, want)
		}
	}
	for name, test := range map[string]struct {
		err  error
		text string
	}{
		"team.Three":  {runner.ErrIncompatibleStack, `those of the stack have ["" "Two"]: name one as team.PREFIX`},
		"/team/three": {runner.ErrStackNotFound, `there is no parameter "/team/three"`},
		"other.Two":   {runner.ErrStackNotFound, `there is no "other"`},
		".":           {runner.ErrInvalidRequest, `stack ".": name a stack`},
		".Two":        {runner.ErrInvalidRequest, "STACK.PREFIX"},
		"team.":       {runner.ErrInvalidRequest, "STACK.PREFIX"},
		"team.Two.x":  {runner.ErrInvalidRequest, "STACK.PREFIX"},
	} {
		if _, err := runner.New(t.Context(), engine.Config(), name); !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", name, err, test.text)
		}
	}
}
