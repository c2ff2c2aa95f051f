package fleetbench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// watcher waits for a build, one call for each of a fleet's builds, all at
// once.
type watcher interface {
	watch(ctx context.Context, id string) sight
}

// sight is what a watcher saw of a build.
type sight struct {
	succeeded bool
	ended     time.Time      // the service's word
	known     time.Time      // when the caller knew
	read      time.Time      // when the caller had the whole log; zero if it was not read
	lines     map[string]int // how often each line came
	err       error          // the wait failed
}

func (s *sight) line(text string) {
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	s.lines[text]++
}

// client is the runner's.
type client struct {
	*runner.Client
	mode runner.LogMode
}

func newRunnerClient(ctx context.Context, cfg aws.Config, logs bool) (watcher, error) {
	mode := runner.LogFailures
	if logs {
		mode = runner.LogFollow
	}
	c, err := runner.New(ctx, cfg, buildspec.StackName)
	return client{c, mode}, err
}

func (c client) watch(ctx context.Context, id string) (s sight) {
	for event, err := range c.Build(id).Events(ctx, c.mode) {
		switch {
		case err != nil:
			s.err = err
		case event.Type == runner.EventFinished:
			s.known, s.ended, s.succeeded = time.Now(), event.Result.Ended, event.Result.Err() == nil
		case event.Type == runner.EventLog && event.Line.Kind == runner.LineOutput:
			s.line(event.Line.Text)
		case event.Type == runner.EventLogEnd && event.LogsComplete:
			s.read = time.Now()
		}
	}
	return s
}

// poller asks about its build by a call of its own, again and again. It has an
// SDK client of its own, as in a job of its own, with the SDK's default
// retries. One that follows the log gets the next page of it with each
// question, and ends when the build has ended and that page is empty. A
// question that fails is asked again when the next one is due.
type poller struct {
	every  time.Duration
	logs   bool
	builds *codebuild.Client
	events *cloudwatchlogs.Client
}

// pollers makes a poller for each build.
type pollers struct {
	config aws.Config
	every  time.Duration
	logs   bool
}

func pollersEvery(every time.Duration) func(context.Context, aws.Config, bool) (watcher, error) {
	return func(_ context.Context, cfg aws.Config, logs bool) (watcher, error) {
		return pollers{cfg, every, logs}, nil
	}
}

func (p pollers) watch(ctx context.Context, id string) sight {
	return poller{p.every, p.logs, codebuild.NewFromConfig(p.config), cloudwatchlogs.NewFromConfig(p.config)}.watch(ctx, id)
}

func (p poller) watch(ctx context.Context, id string) (s sight) {
	var token *string
	for pause := rand.N(p.every); ; pause = p.every { // not all at the same moment
		if s.err = sleep(ctx, pause); s.err != nil {
			return s
		}
		group, stream := p.ask(ctx, id, &s)
		if p.logs && stream != "" {
			token = p.read(ctx, &s, group, stream, token)
		}
		if !s.known.IsZero() && (!p.logs || !s.read.IsZero()) {
			return s
		}
	}
}

// ask gets the build's state, and returns the place of its log.
func (p poller) ask(ctx context.Context, id string, s *sight) (group, stream string) {
	out, err := p.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil || len(out.Builds) == 0 {
		return "", ""
	}
	build := out.Builds[0]
	if build.BuildComplete && s.known.IsZero() {
		s.known, s.ended, s.succeeded = time.Now(), aws.ToTime(build.EndTime), build.BuildStatus == "SUCCEEDED"
	}
	if build.Logs == nil {
		return "", ""
	}
	return aws.ToString(build.Logs.GroupName), aws.ToString(build.Logs.StreamName)
}

// read gets a page of the log, and returns the token of the next one.
func (p poller) read(ctx context.Context, s *sight, group, stream string, token *string) *string {
	out, err := p.events.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: token,
	})
	if err != nil {
		return token
	}
	for _, event := range out.Events {
		if text := strings.TrimSuffix(*event.Message, "\n"); strings.HasPrefix(text, "line ") {
			s.line(text)
		}
	}
	if !s.known.IsZero() && len(out.Events) == 0 {
		s.read = time.Now()
	}
	return out.NextForwardToken
}

// check returns what a watcher got wrong about a build.
func (p plan) check(s sight, logs bool) (lost, repeated int, err error) {
	if s.err != nil {
		return 0, 0, s.err
	}
	if s.succeeded == p.fails {
		return 0, 0, fmt.Errorf("succeeded is %v", s.succeeded)
	}
	if !logs {
		return 0, 0, nil
	}
	for line := range p.lines {
		switch times := s.lines[fmt.Sprintf("line %d", line)]; times {
		case 0:
			lost++
		default:
			repeated += times - 1
		}
	}
	return lost, repeated, nil
}
