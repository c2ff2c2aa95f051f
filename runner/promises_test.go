package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// inBubble runs a test against an engine in memory whose builds take five
// minutes.
func inBubble(t *testing.T, faults *localtest.Faults, test func(t *testing.T, cfg aws.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		engine := localtest.New(t, localtest.InMemory(), localtest.WithConcurrency(400), localtest.SimulateBuilds(func(b *localtest.Build) error {
			b.Log("#1 begins")
			if b.Environment["TAG"] == "app:chatty" {
				for n := range 300 {
					b.Log(fmt.Sprintf("#1 line %d", n))
					pause(b.Context(), 3*time.Second)
				}
			}
			if !pause(b.Context(), 5*time.Minute) {
				return b.Context().Err()
			}
			if b.Environment["TAG"] == "app:bad" {
				b.Log("#1 ERROR: no")
				return localtest.ExitStatus(1)
			}
			b.ExportImage()
			return nil
		}))
		engine.Deploy(t, buildspec.StackName, localtest.WithoutBuildspec(t, flexbuild.Template))
		engine.Deploy(t, "callers", callersTemplate)
		test(t, faults.Config(engine.Config()))
	})
}

// callersTemplate has a role that may do everything.
const callersTemplate = `{"Resources": {"Caller": {"Type": "AWS::IAM::Role", "Properties": {
	"RoleName": "caller",
	"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}}]},
	"Policies": [{"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}]
}}}}`

func newClient(t *testing.T, cfg aws.Config, opts ...runner.Option) *runner.Client {
	t.Helper()
	c, err := runner.New(t.Context(), cfg, buildspec.StackName, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func gitRequestOf(tag string) runner.Request {
	return runner.Request{Source: runner.Git{URL: "https://git.example/org/repo.git"}, Tags: []string{tag}}
}

// counts records what a client reports to its Metrics.
type counts struct {
	mu     sync.Mutex
	calls  map[string]int
	failed int
	most   int // builds in progress
}

func (c *counts) Call(call runner.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[call.Operation]++
	if call.Err != nil {
		c.failed++
	}
}

func (c *counts) Watched(builds map[runner.Status]int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = max(c.most, builds[runner.InProgress])
}

// Each attempt is one request on the wire: the SDK repeats nothing by itself.
func TestMetricsReportEveryRequest(t *testing.T) {
	faults := &localtest.Faults{Seed: 1, Throttled: 0.2, Failed: 0.2, Truncated: 0.1}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		metrics := &counts{calls: map[string]int{}}
		c := newClient(t, cfg, runner.WithMetrics(metrics))
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				if _, err := c.Run(t.Context(), gitRequestOf(fmt.Sprintf("app:%d", i)), runner.WithLogMode(runner.LogFollow)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, operation := range []string{"DescribeStacks", "StartBuild", "BatchGetBuilds", "GetLogEvents"} {
			if sent := faults.Calls(operation); sent == 0 || metrics.calls[operation] != sent {
				t.Errorf("%s: %d requests, %d were reported", operation, sent, metrics.calls[operation])
			}
		}
		if metrics.failed == 0 || metrics.most < 3 {
			t.Errorf("%d failed, %d builds in progress at most", metrics.failed, metrics.most)
		}
	})
}

// The log has every call that failed, with its error.
func TestLoggerReportsEachFailedCall(t *testing.T) {
	faults := &localtest.Faults{Seed: 1, Throttled: 0.3, Failed: 0.2}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		var text bytes.Buffer
		metrics := &counts{calls: map[string]int{}}
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if _, err := newClient(t, cfg, runner.WithMetrics(metrics), runner.WithLogger(log)).Run(t.Context(), gitRequestOf("app:1")); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text.String(), "level=DEBUG"); n == 0 || n != metrics.failed || !strings.Contains(text.String(), "BatchGetBuilds") {
			t.Errorf("%d calls failed, and the log has\n%s", metrics.failed, text.String())
		}
	})
}

func TestPhasesAloneCostNoLogCalls(t *testing.T) {
	faults := &localtest.Faults{}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		phases := 0
		_, err := newClient(t, cfg).Run(t.Context(), gitRequestOf("app:1"), runner.WithEvents(func(e runner.Event) {
			if e.Type == runner.EventPhase {
				phases++
			}
		}))
		if n := faults.Calls("GetLogEvents") + faults.Calls("FilterLogEvents"); err != nil || phases == 0 || n > 0 {
			t.Errorf("%d phases, %d calls, %v", phases, n, err)
		}
		_, err = newClient(t, cfg).Run(t.Context(), gitRequestOf("app:bad"), runner.WithLogMode(runner.LogNone))
		var failed *runner.BuildError
		if n := faults.Calls("GetLogEvents"); !errors.As(err, &failed) || len(failed.LastLines) > 0 || n > 0 {
			t.Errorf("without any log: %d calls, %v", n, err)
		}
		_, err = newClient(t, cfg).Run(t.Context(), gitRequestOf("app:bad"))
		if !errors.As(err, &failed) || !strings.Contains(strings.Join(failed.LastLines, "\n"), "ERROR: no") {
			t.Errorf("of a failure: %v", err)
		}
	})
}

// The result is known at once, however long the log takes.
func TestResultDoesNotWaitForTheLog(t *testing.T) {
	faults := &localtest.Faults{Throttled: 1, Only: []string{"GetLogEvents"}}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		build, err := newClient(t, cfg).Start(t.Context(), gitRequestOf("app:1"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for event, err := range build.Events(t.Context(), runner.LogFollow) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Type == runner.EventFinished {
				if event.Result.LogsComplete || event.Result.Err() != nil {
					t.Errorf("%+v", event.Result)
				}
				break
			}
		}
		if took := time.Since(began); took > 5*time.Minute+5*time.Second {
			t.Errorf("the result came after %v", took)
		}
	})
}

// A log that grows all the time is read to its end although some calls fail,
// also when it is read together with others.
func TestChattyLogsAreReadToTheirEnd(t *testing.T) {
	faults := &localtest.Faults{Seed: 2, Failed: 0.8, Only: []string{"FilterLogEvents"}}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		c := newClient(t, cfg, runner.WithLogRate(1)) // one log is read on its own
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				lines := 0
				result, err := c.Run(t.Context(), gitRequestOf("app:chatty"), runner.WithLogMode(runner.LogFollow), runner.WithEvents(func(e runner.Event) {
					if e.Type == runner.EventLog && e.Line.Kind == runner.LineOutput {
						lines++
					}
				}))
				if err != nil || !result.LogsComplete || lines != 301 {
					t.Errorf("%d lines, %v", lines, err)
				}
			})
		}
		all.Wait()
	})
}

func TestExpiredCredentialsAreRenewed(t *testing.T) {
	faults := &localtest.Faults{CredentialsLife: time.Minute}
	inBubble(t, &localtest.Faults{}, func(t *testing.T, cfg aws.Config) {
		role := "arn:aws:iam::000000000000:role/caller"
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role))
		if _, err := newClient(t, faults.Config(cfg)).Run(t.Context(), gitRequestOf("app:1"), runner.WithLogMode(runner.LogFollow)); err != nil {
			t.Error(err)
		}
	})
}

// Credentials that stay expired are reported without a long wait.
func TestCredentialsThatStayExpiredAreReported(t *testing.T) {
	faults := &localtest.Faults{CredentialsLife: time.Minute}
	inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
		c := newClient(t, cfg)
		time.Sleep(2 * time.Minute)
		began := time.Now()
		if _, err := c.Start(t.Context(), gitRequestOf("app:1")); !errors.Is(err, runner.ErrCredentials) || time.Since(began) > 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// The client removes its temporary files, however the upload ends.
func TestUploadLeavesNothingInTheTemporaryDirectory(t *testing.T) {
	dir := directory(t)
	t.Setenv("TMPDIR", t.TempDir())
	for name, faults := range map[string]*localtest.Faults{
		"success":              {},
		"no upload gets there": {Failed: 1, Only: []string{"PutObject"}},
	} {
		inBubble(t, faults, func(t *testing.T, cfg aws.Config) {
			c := newClient(t, cfg)
			before := entries(t, os.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			_, err := c.Start(ctx, runner.Request{Source: dir, Tags: []string{"app:1"}})
			if (err == nil) != (name == "success") {
				t.Errorf("%s: %v", name, err)
			}
			if after := entries(t, os.TempDir()); after != before {
				t.Errorf("%s: %d entries, then %d", name, before, after)
			}
			if name == "success" {
				return
			}
			if n := faults.Calls("PutObject"); n < 3 || n > 80 || faults.Calls("StartBuild") > 0 {
				t.Errorf("%s: %d uploads were tried, %d builds started", name, n, faults.Calls("StartBuild"))
			}
		})
	}
}

func entries(t *testing.T, dir string) int {
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Lines of logs that are read together are found if they become visible less
// than two minutes late.
func TestLinesThatBecomeVisibleLateAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const builds = 8
		engine := localtest.New(t, localtest.InMemory(), localtest.SimulateBuilds(func(b *localtest.Build) error {
			for n := range 40 {
				b.Log(fmt.Sprintf("#1 line %d", n))
				pause(b.Context(), 10*time.Second)
			}
			b.ExportImage()
			return nil
		}), func(o *local.Options) {
			o.LogDelay = func(_ string, event uint64) time.Duration { return time.Duration(event%2) * 100 * time.Second }
		})
		engine.Deploy(t, buildspec.StackName, localtest.WithoutBuildspec(t, flexbuild.Template))
		c := newClient(t, engine.Config(), runner.WithLogRate(1))
		var all sync.WaitGroup
		for i := range builds {
			all.Go(func() {
				lines := map[string]int{}
				_, err := c.Run(t.Context(), gitRequestOf(fmt.Sprintf("app:%d", i)), runner.WithLogMode(runner.LogFollow), runner.WithEvents(func(e runner.Event) {
					if e.Type == runner.EventLog && e.Line.Kind == runner.LineOutput {
						lines[e.Line.Text]++
					}
				}))
				if err != nil || len(lines) != 40 {
					t.Errorf("%d lines, %v", len(lines), err)
				}
			})
		}
		all.Wait()
	})
}
