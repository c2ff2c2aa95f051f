package agent

import (
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// A phase with RETRY that fails ends the build, which is started again.
func TestOnFailureRetryStartsTheBuildAgain(t *testing.T) {
	b := newBench(t)
	const aborted = toPre + "BUILD:FAILED FINALIZING:SUCCEEDED COMPLETED:"
	for choice, want := range map[string]int{"RETRY": 3, "RETRY-1": 1, "RETRY-0": 0, "RETRY-2-.*exit status 7": 2, "RETRY-2-exit status 7": 0, "RETRY-.*exit status 8": 0} {
		t.Run(choice, func(t *testing.T) {
			id, retries := b.start(t, buildspec("version: 0.2\nphases: {build: {commands: ['exit 7'], on-failure: '"+choice+"'}}")), 0
			for {
				r := b.failed(t, id)
				if r.phases() != aborted {
					t.Errorf("the phases are %s", r.phases())
				}
				if r.AutoRetryConfig == nil || r.AutoRetryConfig.NextAutoRetry == nil {
					break
				}
				retries++
				id = *r.AutoRetryConfig.NextAutoRetry
			}
			if retries != want {
				t.Errorf("it was retried %d times, want %d", retries, want)
			}
		})
	}
}

// failed waits for the end of a build, whose retry may run then.
func (b *bench) failed(t *testing.T, id string) result {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if build := b.get(t, id); build.BuildStatus == types.StatusTypeFailed {
			return result{Build: build}
		}
	}
	t.Fatalf("the build is %s", b.get(t, id).BuildStatus)
	return result{}
}

func TestABuildThatSucceedsIsNotRetried(t *testing.T) {
	b := newBench(t)
	b.run(t, buildspec("version: 0.2\nphases: {build: {commands: ['true'], on-failure: RETRY}}")).want(t, types.StatusTypeSucceeded)
	if out, err := b.ListBuilds(t.Context(), &sdk.ListBuildsInput{}); err != nil || len(out.Ids) != 1 {
		t.Errorf("there are the builds %q, %v", out.Ids, err)
	}
}
