package codebuild

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A Record is the document of a running build. Every change is stored before
// the call returns, unless it cannot be stored, as on a full disk. It is safe
// for concurrent use.
type Record struct {
	now       func() time.Time
	save      func(types.Build) error
	artifacts []types.ProjectArtifacts

	mu    sync.Mutex
	build types.Build
	saved bool // whether the last change is stored

	retries int32 // how often the buildspec has the build started again
}

func (s *Service) record(b storedBuild) *Record {
	save := func(build types.Build) error {
		err := s.builds.put(storedBuild{Sequence: b.Sequence, Build: build, Artifacts: b.Artifacts})
		if err != nil {
			s.Log.Error("a build's state could not be kept", "build", *build.Id, "error", err)
		}
		return err
	}
	return &Record{now: func() time.Time { return s.Clock.Now().UTC().Round(0) }, save: save, build: b.Build, artifacts: b.Artifacts}
}

// Build returns the document in its present state.
func (r *Record) Build() types.Build {
	r.mu.Lock()
	defer r.mu.Unlock()
	build := r.build
	build.Phases = slices.Clone(build.Phases)
	return build
}

// stored returns the document with the definitions of its artifacts.
func (r *Record) stored() storedBuild { return storedBuild{Build: r.Build(), Artifacts: r.artifacts} }

func (r *Record) change(change func(b *types.Build)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.build)
	r.saved = r.save(r.build) == nil
}

// keep stores the last change if it is not stored yet, and reports whether it
// is.
func (r *Record) keep() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.saved {
		r.saved = r.save(r.build) == nil
	}
	return r.saved
}

// Begin opens a phase at the time at which the previous one ended.
func (r *Record) Begin(phase types.BuildPhaseType) {
	r.change(func(b *types.Build) { r.begin(b, phase) })
}

func (r *Record) begin(b *types.Build, phase types.BuildPhaseType) {
	start := aws.Time(r.now())
	if last := len(b.Phases) - 1; last >= 0 && b.Phases[last].EndTime != nil {
		start = b.Phases[last].EndTime
	}
	b.Phases = append(slices.Clone(b.Phases), types.BuildPhase{PhaseType: phase, StartTime: start})
	b.CurrentPhase = aws.String(string(phase))
}

// End closes the open phase. Without contexts, the phase gets AWS's empty one.
// If no phase is open, End does nothing.
func (r *Record) End(status types.StatusType, contexts ...types.PhaseContext) {
	if len(contexts) == 0 {
		contexts = []types.PhaseContext{{StatusCode: aws.String(""), Message: aws.String("")}}
	}
	r.change(func(b *types.Build) { r.end(b, status, contexts) })
}

func (r *Record) end(b *types.Build, status types.StatusType, contexts []types.PhaseContext) {
	last := len(b.Phases) - 1
	if last < 0 || b.Phases[last].EndTime != nil {
		return
	}
	b.Phases = slices.Clone(b.Phases)
	phase := &b.Phases[last]
	phase.EndTime = aws.Time(latest(r.now(), *phase.StartTime)) // the clock may have been set back
	phase.DurationInSeconds = aws.Int64(int64(phase.EndTime.Sub(*phase.StartTime).Seconds()))
	phase.PhaseStatus = status
	phase.Contexts = slices.Concat(contexts, phase.Contexts)
}

// AddContext adds a context to the last phase, after those with which it ends.
func (r *Record) AddContext(context types.PhaseContext) {
	r.change(func(b *types.Build) {
		b.Phases = slices.Clone(b.Phases)
		phase := &b.Phases[len(b.Phases)-1]
		phase.Contexts = slices.Concat(phase.Contexts, []types.PhaseContext{context})
	})
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// order lists the phases that an executor reports, in order.
var order = []types.BuildPhaseType{
	types.BuildPhaseTypeSubmitted, types.BuildPhaseTypeQueued, types.BuildPhaseTypeProvisioning, types.BuildPhaseTypeDownloadSource,
	types.BuildPhaseTypeInstall, types.BuildPhaseTypePreBuild, types.BuildPhaseTypeBuild, types.BuildPhaseTypePostBuild,
	types.BuildPhaseTypeUploadArtifacts, types.BuildPhaseTypeFinalizing,
}

// fail closes the open phase of a build whose executor no longer exists, as
// FAULT with a context. Between two phases, the next phase fails; after the
// last phase, the last one.
func (r *Record) fail(why types.PhaseContext) {
	r.change(func(b *types.Build) {
		last := b.Phases[len(b.Phases)-1]
		if next := slices.Index(order, last.PhaseType) + 1; last.EndTime != nil && next < len(order) {
			r.begin(b, order[next])
		} else if last.EndTime != nil {
			b.Phases = slices.Clone(b.Phases)
			b.Phases[len(b.Phases)-1].EndTime, b.Phases[len(b.Phases)-1].Contexts = nil, nil
		}
		r.end(b, types.StatusTypeFault, []types.PhaseContext{why})
	})
}

// interrupt closes the open phase with a context, and reports whether one was
// open.
func (r *Record) interrupt(status types.StatusType, contexts ...types.PhaseContext) bool {
	if !r.open() {
		return false
	}
	r.change(func(b *types.Build) { r.end(b, status, contexts) })
	return true
}

func (r *Record) open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.build.Phases) - 1
	return last >= 0 && r.build.Phases[last].EndTime == nil
}

// complete ends the build. The COMPLETED entry has only a start.
func (r *Record) complete(status types.StatusType) {
	r.change(func(b *types.Build) {
		r.begin(b, types.BuildPhaseTypeCompleted)
		b.BuildStatus = status
		b.BuildComplete = true
		b.EndTime = b.Phases[len(b.Phases)-1].StartTime
	})
}

// Logs sets where the build's log is. Before that, its ARN has null parts, as
// on AWS.
func (r *Record) Logs(group, stream string) {
	r.change(func(b *types.Build) {
		location := *b.Logs
		location.GroupName, location.StreamName = &group, &stream
		region := strings.Split(*b.Arn, ":")[3]
		location.CloudWatchLogsArn, location.DeepLink = logLinks(region, group, stream)
		b.Logs = &location
	})
}

// logLinks returns a log stream's ARN and its page in AWS's console, in which a
// slash in a name is escaped twice.
func logLinks(region, group, stream string) (arn, page *string) {
	escape := strings.NewReplacer("%", "$2525", "/", "$252F", "[", "$255B", "]", "$255D", "$", "$2524", "#", "$2523")
	return aws.String("arn:aws:logs:" + region + ":" + iam.AccountID + ":log-group:" + group + ":log-stream:" + stream),
		aws.String("https://console.aws.amazon.com/cloudwatch/home?region=" + region +
			"#logsV2:log-groups/log-group/" + escape.Replace(group) + "/log-events/" + escape.Replace(stream))
}

// ResolvedSource sets the commit that was built.
func (r *Record) ResolvedSource(version string) {
	r.change(func(b *types.Build) { b.ResolvedSourceVersion = &version })
}

// RetryUpTo has the build, if it fails, started again up to that many times in
// all, whatever its own limit is.
func (r *Record) RetryUpTo(limit int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retries = max(r.retries, limit)
}

// retryConfig returns what is known of the build's retries, and how many it may
// have.
func (r *Record) retryConfig() (config types.AutoRetryConfig, limit int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	config = types.AutoRetryConfig{AutoRetryLimit: aws.Int32(0), AutoRetryNumber: aws.Int32(0)}
	if r.build.AutoRetryConfig != nil {
		config = *r.build.AutoRetryConfig
	}
	return config, max(*config.AutoRetryLimit, r.retries)
}

// Export sets the values of the buildspec's exported variables.
func (r *Record) Export(variables []types.ExportedEnvironmentVariable) {
	r.change(func(b *types.Build) {
		b.ExportedEnvironmentVariables = slices.Concat([]types.ExportedEnvironmentVariable{}, variables)
	})
}
