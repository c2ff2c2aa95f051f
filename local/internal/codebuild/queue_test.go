package codebuild

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

func (b *bench) stop(t *testing.T, id string) types.Build {
	t.Helper()
	out, err := b.StopBuild(root(), &codebuild.StopBuildInput{Id: &id})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Build
}

func lastButOne(build types.Build) types.BuildPhase { return build.Phases[len(build.Phases)-2] }

func TestBuildsWaitForTheirTurn(t *testing.T) {
	b := newBench(t, 1)
	first, second := *b.mustStart(t).Id, *b.mustStart(t).Id
	running := b.running(t)
	if running.id != first || *b.get(t, second).CurrentPhase != "QUEUED" {
		t.Fatalf("%s runs, %s is in %s", running.id, second, *b.get(t, second).CurrentPhase)
	}
	b.clock.Advance(time.Minute)
	running.finish <- types.StatusTypeSucceeded
	if next := b.running(t); next.id != second {
		t.Fatalf("%s runs after %s", next.id, first)
	}
	if queued := b.get(t, second).Phases[1]; *queued.DurationInSeconds != 60 {
		t.Errorf("QUEUED took %d s", *queued.DurationInSeconds)
	}
}

func TestAFullQueueIsAnAccountLimit(t *testing.T) {
	b := newBench(t, 1)
	for range 1 + queuePerRunning {
		b.mustStart(t)
	}
	_, err := b.start()
	wantError(t, err, "AccountLimitExceededException", "Cannot have more than 5 builds in queue for the account")
	b.running(t).finish <- types.StatusTypeSucceeded
	b.running(t)
	b.mustStart(t) // there is a place again
}

func TestAProjectsOwnLimitIsAnErrorAndNoQueue(t *testing.T) {
	b := newBench(t, 3)
	p := project("demo")
	p.ConcurrentBuildLimit = aws.Int32(1)
	b.put(t, p)
	id := *b.mustStart(t).Id
	_, err := b.start()
	wantError(t, err, "AccountLimitExceededException", "Cannot have more than 1 active builds for the project")
	b.stop(t, id)
	b.mustStart(t)
}

func TestABuildIsStopped(t *testing.T) {
	b := newBench(t, 1)
	running, queued := *b.mustStart(t).Id, *b.mustStart(t).Id
	b.running(t)
	for _, test := range []struct { // in this order: a queued build runs as soon as there is a place
		id    string
		phase types.BuildPhaseType
	}{{queued, types.BuildPhaseTypeQueued}, {running, types.BuildPhaseTypeProvisioning}} {
		build := b.stop(t, test.id)
		if p := lastButOne(build); p.PhaseType != test.phase || p.PhaseStatus != types.StatusTypeStopped || len(p.Contexts) != 0 {
			t.Errorf("phase = %+v", p)
		}
		if build.BuildStatus != types.StatusTypeStopped || !build.BuildComplete || *build.CurrentPhase != "COMPLETED" {
			t.Errorf("build = %+v", build)
		}
	}
	if again := b.stop(t, running); again.BuildStatus != types.StatusTypeStopped {
		t.Errorf("stopping again: %s", again.BuildStatus)
	}
	_, err := b.StopBuild(root(), &codebuild.StopBuildInput{Id: aws.String("demo:nope")})
	wantError(t, err, "ResourceNotFoundException", "demo:nope")
}

func TestStoppingAFinishedBuildReturnsItsEnd(t *testing.T) {
	b := newBench(t, 1)
	build := b.mustStart(t)
	b.running(t).finish <- types.StatusTypeSucceeded
	b.completed(t, *build.Id)
	if stopped := b.stop(t, *build.Arn); stopped.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("status = %s", stopped.BuildStatus)
	}
}

func TestABuildThatTakesTooLongTimesOut(t *testing.T) {
	b := newBench(t, 1)
	running := b.mustStart(t, func(in *codebuild.StartBuildInput) { in.TimeoutInMinutesOverride = aws.Int32(10) })
	queued := b.mustStart(t, func(in *codebuild.StartBuildInput) { in.QueuedTimeoutInMinutesOverride = aws.Int32(5) })
	b.running(t)
	b.clock.Advance(5 * time.Minute)
	check := func(id string, phase types.BuildPhaseType) {
		t.Helper()
		build := b.completed(t, id)
		p := lastButOne(build)
		if p.PhaseType != phase || p.PhaseStatus != types.StatusTypeTimedOut || *p.Contexts[0].StatusCode != "BUILD_TIMED_OUT" || build.BuildStatus != timedOut {
			t.Errorf("build is %s, phase = %+v", build.BuildStatus, p)
		}
	}
	check(*queued.Id, types.BuildPhaseTypeQueued)
	if b.get(t, *running.Id).BuildComplete {
		t.Fatal("the running build ended too early")
	}
	b.clock.Advance(5 * time.Minute)
	check(*running.Id, types.BuildPhaseTypeProvisioning)
}

func TestTheEngineEndsInMidBuild(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *bench){
		"closed": func(t *testing.T, b *bench) {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := b.start()
			wantError(t, err, "ServiceUnavailable", "shutting down")
		},
		"killed": func(t *testing.T, b *bench) {
			b.open(t)
			if err := b.Recover(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			running, queued := *b.mustStart(t).Id, *b.mustStart(t).Id
			b.running(t)
			end(t, b)
			for _, id := range []string{running, queued} {
				build := b.get(t, id)
				p := lastButOne(build)
				if build.BuildStatus != types.StatusTypeFault || !build.BuildComplete || *p.Contexts[0].StatusCode != "INTERNAL_SERVICE_ERROR" {
					t.Errorf("build %s in %s: %+v", build.BuildStatus, *build.CurrentPhase, p)
				}
			}
		})
	}
}

// TestABuildThatEndsOnAFullDiskHasAnEnd: nobody must wait for it, and the store
// gets it when there is room.
func TestABuildThatEndsOnAFullDiskHasAnEnd(t *testing.T) {
	b := newBench(t, 1)
	id := *b.mustStart(t).Id
	running := b.running(t)
	keep, full := running.record.save, true
	running.record.mu.Lock()
	running.record.save = func(build types.Build) error {
		if full {
			return errors.New("no space left on device")
		}
		return keep(build)
	}
	running.record.mu.Unlock()
	running.finish <- types.StatusTypeSucceeded
	if build := b.completed(t, id); build.BuildStatus != types.StatusTypeSucceeded || *build.CurrentPhase != "COMPLETED" {
		t.Errorf("build %s in %s", build.BuildStatus, *build.CurrentPhase)
	}
	full = false
	b.get(t, id)
	b.open(t)
	if build := b.get(t, id); !build.BuildComplete {
		t.Errorf("a new engine finds the build in %s", *build.CurrentPhase)
	}
}

func TestBuildsAreListedNewestFirstPageByPage(t *testing.T) {
	b := newBench(t, 50)
	b.put(t, project("other"))
	var ids []string
	for range 205 {
		ids = append(ids, *b.mustStart(t).Id)
	}
	b.mustStart(t, func(in *codebuild.StartBuildInput) { in.ProjectName = aws.String("other") })
	b.open(t) // the order survives a restart
	var listed []string
	var token *string
	for page := 0; ; page++ {
		out, err := b.ListBuildsForProject(root(), &codebuild.ListBuildsForProjectInput{ProjectName: aws.String("demo"), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, out.Ids...)
		if token = out.NextToken; token == nil {
			break
		}
		if len(out.Ids) != pageSize {
			t.Errorf("page %d has %d ids", page, len(out.Ids))
		}
	}
	if len(listed) != len(ids) {
		t.Fatalf("%d ids", len(listed))
	}
	for i, id := range listed {
		if id != ids[len(ids)-1-i] {
			t.Fatalf("id %d is %s", i, id)
		}
	}
	ascending, err := b.ListBuilds(root(), &codebuild.ListBuildsInput{SortOrder: types.SortOrderTypeAscending})
	if err != nil || ascending.Ids[0] != ids[0] || len(ascending.Ids) != pageSize {
		t.Errorf("ascending: %v, %v", ascending.Ids[:1], err)
	}
	_, err = b.ListBuilds(root(), &codebuild.ListBuildsInput{NextToken: aws.String("!")})
	wantError(t, err, "InvalidInputException", "Invalid next token")
	_, err = b.ListBuildsForProject(root(), &codebuild.ListBuildsForProjectInput{ProjectName: aws.String("nope")})
	wantError(t, err, "ResourceNotFoundException", "nope")
}

func TestBatchesNameWhatIsNotThere(t *testing.T) {
	b := newBench(t, 1)
	build := b.mustStart(t)
	out, err := b.BatchGetBuilds(root(), &codebuild.BatchGetBuildsInput{Ids: []string{*build.Arn, "demo:x", "y", "demo:x"}})
	if err != nil || len(out.Builds) != 1 || fmt.Sprint(out.BuildsNotFound) != "[demo:x y]" {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = b.BatchGetBuilds(root(), &codebuild.BatchGetBuildsInput{})
	wantError(t, err, "InvalidInputException", "'ids'")
	_, err = b.BatchGetBuilds(root(), &codebuild.BatchGetBuildsInput{Ids: make([]string, 101)})
	wantError(t, err, "InvalidInputException", "less than or equal to 100")
	projects, err := b.BatchGetProjects(root(), &codebuild.BatchGetProjectsInput{Names: []string{"demo", "nope"}})
	if err != nil || len(projects.Projects) != 1 || fmt.Sprint(projects.ProjectsNotFound) != "[nope]" {
		t.Errorf("%+v, %v", projects, err)
	}
	if _, err := b.DeleteProject(t.Context(), &codebuild.DeleteProjectInput{Name: aws.String("demo")}); err != nil {
		t.Fatal(err)
	}
	if names, err := b.ListProjects(root(), &codebuild.ListProjectsInput{}); err != nil || len(names.Projects) != 0 {
		t.Errorf("%+v, %v", names, err)
	}
}

func TestManyBuildsStartAndStopAtOnce(t *testing.T) {
	b := newBench(t, 4)
	var wg sync.WaitGroup
	stopFinishing := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case c := <-b.builds:
				select {
				case c.finish <- types.StatusTypeSucceeded:
				case <-time.After(50 * time.Millisecond): // it was stopped
				}
			case <-stopFinishing:
				return
			}
		}
	})
	var starters sync.WaitGroup
	for i := range 40 {
		starters.Go(func() {
			build, err := b.start()
			if err != nil {
				wantError(t, err, "AccountLimitExceededException", "")
				return
			}
			if i%3 == 0 {
				b.stop(t, *build.Id)
			}
			if end := b.completed(t, *build.Id); end.BuildStatus == types.StatusTypeInProgress || end.BuildStatus == types.StatusTypeFault {
				t.Errorf("ended as %s", end.BuildStatus)
			}
		})
	}
	starters.Wait()
	close(stopFinishing)
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Service.running != 0 || len(b.active) != 0 || len(b.waiting) != 0 {
		t.Errorf("left over: %d run, %d active, %d wait", b.Service.running, len(b.active), len(b.waiting))
	}
}

// An executorFunc is an Executor that is a function.
type executorFunc func(ctx context.Context, build types.Build, record *Record) types.StatusType

func (f executorFunc) Execute(ctx context.Context, build types.Build, record *Record) types.StatusType {
	return f(ctx, build, record)
}

// TestABuildThatIsKilledBetweenTwoPhasesSaysWhy kills engines whose executor
// has just ended a phase, or not yet begun one: the first phase waits for a
// builder of containers.
func TestABuildThatIsKilledBetweenTwoPhasesSaysWhy(t *testing.T) {
	for ended := range order[1:] {
		failed := order[min(ended+2, len(order)-1)]
		t.Run(string(failed), func(t *testing.T) {
			b, reached := newBench(t, 1), make(chan struct{})
			b.options.Executor = executorFunc(func(ctx context.Context, _ types.Build, record *Record) types.StatusType {
				for _, phase := range order[2 : ended+2] {
					record.Begin(phase)
					record.End(types.StatusTypeSucceeded)
				}
				close(reached)
				<-ctx.Done()
				return types.StatusTypeFault
			})
			b.open(t)
			id := *b.mustStart(t).Id
			<-reached
			b.open(t) // the killed engine never got further
			if err := b.Recover(); err != nil {
				t.Fatal(err)
			}
			build := b.get(t, id)
			p := lastButOne(build)
			if build.BuildStatus != types.StatusTypeFault || p.PhaseType != failed || p.PhaseStatus != types.StatusTypeFault || len(p.Contexts) != 1 || *p.Contexts[0].StatusCode != "INTERNAL_SERVICE_ERROR" {
				t.Errorf("the build is %s; its last phase is %+v", build.BuildStatus, p)
			}
		})
	}
}

func TestNoPhaseEndsBeforeItBeganWhenTheClockIsSetBack(t *testing.T) {
	b := newBench(t, 1)
	id := *b.mustStart(t).Id
	running := b.running(t)
	b.clock.Advance(-time.Hour)
	running.finish <- types.StatusTypeSucceeded
	build := b.completed(t, id)
	for _, p := range build.Phases {
		if p.EndTime != nil && (p.EndTime.Before(*p.StartTime) || *p.DurationInSeconds < 0) {
			t.Errorf("phase %s began at %s and ended at %s, after %d seconds", p.PhaseType, p.StartTime, p.EndTime, *p.DurationInSeconds)
		}
	}
	if build.EndTime.Before(*build.StartTime) {
		t.Errorf("the build began at %s and ended at %s", build.StartTime, build.EndTime)
	}
}
