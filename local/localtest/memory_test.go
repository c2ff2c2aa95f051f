package localtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// A long build takes no time.
func TestAnEngineInMemoryRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := localtest.New(t, localtest.InMemory(), localtest.WithClockOffset(10*time.Minute), localtest.SimulateBuilds(func(b *localtest.Build) error {
			b.Log("#1 begins")
			time.Sleep(50 * time.Minute)
			b.ExportImage()
			return nil
		}))
		e.Deploy(t, buildspec.StackName, flexbuild.Template)
		client, err := runner.New(t.Context(), e.Config(), buildspec.StackName)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		result, err := client.Run(t.Context(), runner.Request{Source: runner.Git{URL: "https://git.example/org/repo.git"}, Tags: []string{"app"}})
		if err != nil || result.Digest == "" {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 50*time.Minute || took > 51*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}
