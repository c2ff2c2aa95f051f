package localtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// A test of a program that starts builds, as docs/engine.md shows it.
func TestDocumentedUse(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	client, err := runner.New(t.Context(), engine.Config(), buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.Run(t.Context(), runner.Request{Source: runner.Git{URL: "https://github.com/org/repo.git"}, Tags: []string{"app:1"}})
	if err != nil || !strings.Contains(result.ImageURI, "/app@sha256:") {
		t.Errorf("the image is %+v: %v", result, err)
	}
}

// The same with a service that fails, as docs/reliability.md shows it, and with
// a build that does.
func TestDocumentedFaults(t *testing.T) {
	ctx := t.Context()
	engine := localtest.New(t, localtest.SimulateBuilds(func(b *localtest.Build) error {
		b.Log("no luck")
		return localtest.ExitStatus(1)
	}))
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	faults := &localtest.Faults{Seed: 1, Throttled: 0.5, AnswerLost: 0.1, NotFound: 10 * time.Second}
	faults.NotFound = time.Second // a test need not take ten
	client, err := runner.New(ctx, faults.Config(engine.Config()), buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Run(ctx, runner.Request{Source: runner.Git{URL: "https://github.com/org/repo.git"}, Tags: []string{"app:1"}})
	var failed *runner.BuildError
	if !errors.As(err, &failed) || !errors.Is(err, runner.ErrBuildFailed) {
		t.Fatalf("the error is %v, want that of a failed build", err)
	}
	if len(failed.LastLines) == 0 || failed.LastLines[len(failed.LastLines)-1] != "no luck" {
		t.Errorf("the last lines are %q", failed.LastLines)
	}
}
