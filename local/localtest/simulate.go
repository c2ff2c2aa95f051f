package localtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
)

// A Build is a simulated build in its BUILD phase. It is not safe for
// concurrent use.
type Build struct {
	ID          string            // "project:uuid"
	Environment map[string]string // the plaintext variables of the project and of the call

	ctx      context.Context
	say      func(lines ...string)
	exported []types.ExportedEnvironmentVariable
}

// Context returns a context that ends when the build is stopped or times out. A
// build that waits must wait for it too.
func (b *Build) Context() context.Context { return b.ctx }

// Log writes lines to the build's log, as the commands of a build do.
func (b *Build) Log(lines ...string) { b.say(lines...) }

// Export sets an exported variable of the build.
func (b *Build) Export(name, value string) {
	b.exported = append(b.exported, types.ExportedEnvironmentVariable{Name: &name, Value: &value})
}

// ExportImage sets the exported variables of a build that has pushed its image:
// one in the repository of the first tag, with a digest that is derived from
// the build's id. Nothing is pushed.
func (b *Build) ExportImage() {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(b.ID)))
	params, _ := buildspec.ParseParams(b.Environment) // with wrong ones, a real build would not come this far
	var repository string
	if len(params.Tags) > 0 {
		repository, _, _ = strings.Cut(params.Tags[0], ":")
	}
	outcome := buildspec.Outcome{
		ImageURI:    params.Registry + "/" + repository + "@" + digest,
		ImageDigest: digest,
		Contract:    buildspec.Version,
	}
	exported := outcome.Exported()
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		b.Export(name, exported[name])
	}
}

// ExitStatus is the error of a simulated build whose command exited with that
// status.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// A simulator executes builds by calling a function.
type simulator struct {
	logs  *logs.Service
	clock clockwork.Clock
	build func(*Build) error
}

const simulatedCommand = `bash "$HOME/.flexbuild/build.sh"`

// noArtifacts is the context of an upload that a simulated build cannot do.
var noArtifacts = types.PhaseContext{StatusCode: aws.String("CLIENT_ERROR"), Message: aws.String("simulated builds store no artifacts")}

// Execute implements codebuild.Executor. It writes the lines of the agent and
// of the contract around those of the function.
func (s simulator) Execute(ctx context.Context, document types.Build, record *codebuild.Record) types.StatusType {
	b := &Build{ID: *document.Id, Environment: plaintext(document), ctx: ctx, say: s.writer(document)}
	record.Begin(types.BuildPhaseTypeProvisioning)
	group, stream, enabled := codebuild.LogStream(document)
	if enabled {
		record.Logs(group, stream)
	}
	b.agent(s.clock, "Waiting for DOWNLOAD_SOURCE")
	for _, phase := range []types.BuildPhaseType{types.BuildPhaseTypeDownloadSource, types.BuildPhaseTypeInstall, types.BuildPhaseTypePreBuild} {
		record.End(types.StatusTypeSucceeded)
		record.Begin(phase)
	}
	record.End(types.StatusTypeSucceeded)
	status := s.run(b, record)
	if ctx.Err() != nil {
		return status // the phase stays open
	}
	record.Begin(types.BuildPhaseTypeUploadArtifacts)
	if len(record.Artifacts()) == 0 {
		record.End(types.StatusTypeSucceeded)
	} else {
		record.End(types.StatusTypeFailed, noArtifacts)
		status = types.StatusTypeFailed
	}
	record.Begin(types.BuildPhaseTypeFinalizing)
	record.End(types.StatusTypeSucceeded)
	return status
}

// run runs the BUILD and POST_BUILD phases.
func (s simulator) run(b *Build, record *codebuild.Record) types.StatusType {
	record.Begin(types.BuildPhaseTypeBuild)
	b.agent(s.clock, "Entering phase BUILD")
	b.agent(s.clock, "Running command "+simulatedCommand)
	b.mark(buildspec.EventBegin)
	err := s.build(b)
	if b.ctx.Err() != nil {
		return types.StatusTypeFailed
	}
	b.mark(buildspec.EventDone)
	status, reason := types.StatusTypeSucceeded, types.PhaseContext{StatusCode: aws.String(""), Message: aws.String("")}
	if err != nil {
		status = types.StatusTypeFailed
		reason.StatusCode = aws.String("COMMAND_EXECUTION_ERROR")
		reason.Message = aws.String(fmt.Sprintf("Error while executing command: %s. Reason: %v", simulatedCommand, err))
	}
	b.agent(s.clock, fmt.Sprintf("Phase complete: BUILD State: %s", status))
	b.agent(s.clock, fmt.Sprintf("Phase context status code: %s Message: %s", *reason.StatusCode, *reason.Message))
	record.Export(b.exported)
	record.End(status, reason)
	record.Begin(types.BuildPhaseTypePostBuild)
	b.mark(buildspec.EventEnd)
	record.End(types.StatusTypeSucceeded)
	return status
}

// agent writes a line in the form of CodeBuild's agent.
func (b *Build) agent(clock clockwork.Clock, text string) {
	b.say("[Container] " + clock.Now().UTC().Format("2006/01/02 15:04:05.000000") + " " + text)
}

// mark writes a marker of the contract: see buildspec.Log.
func (b *Build) mark(event string) { b.say(buildspec.Mark(b.ID, event)) }

// writer returns a function that appends to a build's log. If the build has no
// log, or its log group was deleted, the function does nothing.
func (s simulator) writer(document types.Build) func(lines ...string) {
	group, stream, enabled := codebuild.LogStream(document)
	return func(lines ...string) {
		if !enabled {
			return
		}
		events := make([]logs.Event, len(lines))
		for i, line := range lines {
			events[i] = logs.Event{Time: s.clock.Now(), Message: line + "\n"}
		}
		_ = s.logs.Append(group, stream, events) // a test sees that the lines are missing
	}
}

func plaintext(document types.Build) map[string]string {
	variables := map[string]string{}
	for _, v := range document.Environment.EnvironmentVariables {
		if v.Type == "" || v.Type == types.EnvironmentVariableTypePlaintext {
			variables[aws.ToString(v.Name)] = aws.ToString(v.Value)
		}
	}
	return variables
}
