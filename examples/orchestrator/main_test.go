package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
	"github.com/codebuild-flex/flexbuild/runner/batch"
)

func TestEachJobGetsItsImageOrAReason(t *testing.T) {
	client := newClient(t, func(b *localtest.Build) error {
		if b.Environment["TAG"] == "app:broken" {
			return localtest.ExitStatus(1)
		}
		b.ExportImage()
		return nil
	})
	results, err := run(t.Context(), client, strings.NewReader(`
		{"id": "good", "repository": "https://github.com/org/api.git", "ref": "v1.7", "image": "app:17"}
		{"id": "broken", "repository": "https://github.com/org/web.git", "image": "app:broken"}
		{"id": "refused", "repository": "https://github.com/org/web.git", "image": "elsewhere:1"}
	`))
	if err != nil {
		t.Fatal(err)
	}
	if r := results["good"]; !regexp.MustCompile(`/app@sha256:[0-9a-f]{64}$`).MatchString(r.Image) || r.Build == "" || r.Error != "" {
		t.Errorf("the good job has %+v", r)
	}
	builds := list(t, client, runner.WithMetadata("job", "good"))
	if len(builds) != 1 || builds[0].BuildID != results["good"].Build || builds[0].Ref != "v1.7" || builds[0].Source != "https://github.com/org/api.git" {
		t.Errorf("the good job's builds are %+v", builds)
	}
	if r := results["broken"]; r.Image != "" || r.Build == "" || r.Error != "docker buildx build failed" {
		t.Errorf("the broken job has %+v", r)
	}
	if r := results["refused"]; r.Build != "" || !strings.Contains(r.Error, "elsewhere") {
		t.Errorf("the refused job has %+v", r)
	}
}

func TestARunGoesOnWhereItWasInterrupted(t *testing.T) {
	const queue = `{"id": "one", "repository": "https://github.com/org/api.git", "image": "app:1"}`
	client := newClient(t, nil)
	first, err := run(t.Context(), client, strings.NewReader(queue), batch.WithRunID("tonight"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := run(t.Context(), client, strings.NewReader(queue), batch.WithRunID("tonight"))
	if err != nil || again["one"] != first["one"] || first["one"].Build == "" {
		t.Errorf("the first time %+v, again %+v, %v", first, again, err)
	}
}

// The queue is a pipe that stays open, as that of a service does.
func TestWhenItIsInterruptedNoBuildGoesOn(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	client := newClient(t, func(b *localtest.Build) error {
		interrupt()
		<-b.Context().Done()
		return nil
	})
	queue, feed := io.Pipe()
	defer feed.Close()
	go func() {
		_, _ = io.WriteString(feed, `{"id": "long", "repository": "https://github.com/org/api.git", "image": "app:1"}`)
	}()
	results, err := run(ctx, client, queue)
	if !errors.Is(err, context.Canceled) || results["long"].Error == "" {
		t.Errorf("results %+v, %v", results, err)
	}
	if builds := list(t, client); len(builds) != 1 || builds[0].Status != runner.Stopped {
		t.Errorf("the builds are %+v", builds)
	}
}

// What stands before that line is built.
func TestALineThatIsNoJobEndsTheQueue(t *testing.T) {
	results, err := run(t.Context(), newClient(t, nil), strings.NewReader(`
		{"id": "one", "repository": "https://github.com/org/api.git", "image": "app:1"}
		{"id": 17}`))
	if err == nil || !strings.Contains(err.Error(), "read the queue") || results["one"].Image == "" {
		t.Errorf("results %+v, %v", results, err)
	}
}

// newClient returns a client of a local engine with the default stack, where
// build takes the place of a build's commands.
func newClient(t *testing.T, build func(*localtest.Build) error) *runner.Client {
	t.Helper()
	engine := localtest.New(t, localtest.SimulateBuilds(build))
	engine.Deploy(t, buildspec.StackName, flexbuild.Template)
	client, err := runner.New(t.Context(), engine.Config(), buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// run runs the orchestrator and returns its results by the jobs' ids.
func run(ctx context.Context, client *runner.Client, queue io.Reader, options ...batch.Option) (map[string]result, error) {
	var out bytes.Buffer
	err := work(ctx, client, queue, &out, options...)
	results := map[string]result{}
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var r result
		if err := decoder.Decode(&r); err != nil {
			return nil, err
		}
		results[r.ID] = r
	}
	return results, err
}

func list(t *testing.T, client *runner.Client, options ...runner.ListOption) (builds []runner.Info) {
	t.Helper()
	for info, err := range client.List(t.Context(), options...) {
		if err != nil {
			t.Fatal(err)
		}
		builds = append(builds, info)
	}
	return builds
}
