package agent

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/agent/spec"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
)

// A build is one run of the agent.
type build struct {
	*Agent
	document types.Build
	record   *codebuild.Record
	tools    Tools

	role       *role   // whose session its calls have
	clients    clients // as the role
	folder     workFolder
	log        *buildLog
	output     *output
	supervised *supervised
	spec       *spec.Spec
	variables  map[string]string // the environment of its commands
	secrets    map[string]bool   // names of those that are secrets
	users      map[string]user   // by the names that run-as has
	as         user              // who runs the commands of this phase
	failed     bool
	release    []func() // undo what PROVISIONING did; called in reverse order
}

// A step is a phase: what it does, and which phase follows if it fails. If it
// succeeds, the next step follows.
type step struct {
	phase     types.BuildPhaseType
	do        func(*build, context.Context) error
	onFailure types.BuildPhaseType
}

// steps are a build's phases. What follows a failure was read off real builds,
// as far as BUILD and the first two are concerned; that a failed INSTALL or
// PRE_BUILD skips to FINALIZING is AWS's "build phase transitions".
var steps = []step{
	{types.BuildPhaseTypeProvisioning, (*build).provision, types.BuildPhaseTypeCompleted},
	{types.BuildPhaseTypeDownloadSource, (*build).downloadSource, types.BuildPhaseTypeFinalizing},
	{types.BuildPhaseTypeInstall, commandsOf(spec.Install), types.BuildPhaseTypeFinalizing},
	{types.BuildPhaseTypePreBuild, commandsOf(spec.PreBuild), types.BuildPhaseTypeFinalizing},
	{types.BuildPhaseTypeBuild, commandsOf(spec.Build), types.BuildPhaseTypePostBuild},
	{types.BuildPhaseTypePostBuild, commandsOf(spec.PostBuild), types.BuildPhaseTypeUploadArtifacts},
	{types.BuildPhaseTypeUploadArtifacts, (*build).uploadArtifacts, types.BuildPhaseTypeFinalizing},
	{types.BuildPhaseTypeFinalizing, (*build).finalize, types.BuildPhaseTypeCompleted},
}

// Execute runs a build that has tools; see [codebuild.Executor].
func (a *Agent) Execute(ctx context.Context, document types.Build, record *codebuild.Record, tools Tools) types.StatusType {
	b := &build{Agent: a, document: document, record: record, tools: tools}
	defer b.cleanUp()
	for next := 0; next < len(steps); {
		s := steps[next]
		record.Begin(s.phase)
		err := s.do(b, ctx)
		if ctx.Err() != nil {
			return types.StatusTypeFailed // the phase stays open
		}
		b.end(s, err)
		next = b.after(next, err)
	}
	if b.failed {
		return types.StatusTypeFailed
	}
	return types.StatusTypeSucceeded
}

// A phaseError is the error of a phase, as in its context.
type phaseError struct{ code, message string }

func (e *phaseError) Error() string { return e.code + ": " + e.message }

func clientError(message string) error { return &phaseError{"CLIENT_ERROR", message} }

// end closes a phase in the log and in the record.
func (b *build) end(s step, err error) {
	status, context := types.StatusTypeSucceeded, phaseError{}
	if err != nil {
		b.failed = true
		status, context = types.StatusTypeFailed, contextOf(err)
	}
	if b.log != nil {
		if s.phase != types.BuildPhaseTypeProvisioning && s.phase != types.BuildPhaseTypeFinalizing {
			b.log.agent("Phase complete: %s State: %s", s.phase, status)
			b.log.agent("Phase context status code: %s Message: %s", context.code, context.message)
		}
		b.log.flush()
	}
	b.record.End(status, types.PhaseContext{StatusCode: aws.String(context.code), Message: aws.String(context.message)})
}

// contextOf returns the context of a phase with an error.
func contextOf(err error) phaseError {
	if known, ok := errors.AsType[*phaseError](err); ok {
		return *known
	}
	return phaseError{"INTERNAL_SERVICE_ERROR", err.Error()}
}

// after returns the index of the step that follows.
func (b *build) after(current int, err error) int {
	if err == nil {
		return current + 1
	}
	following := steps[current].onFailure
	if b.spec != nil {
		phase, _ := b.spec.Phase(spec.Name(steps[current].phase))
		switch phase.OnFailure {
		case spec.Continue:
			return current + 1
		case spec.Again:
			if phase.Retry.Errors.MatchString(contextOf(err).message) {
				b.record.RetryUpTo(phase.Retry.Count)
			}
			following = types.BuildPhaseTypeFinalizing
		case spec.Abort:
			following = types.BuildPhaseTypeFinalizing
		}
	}
	for i, s := range steps {
		if s.phase == following {
			return i
		}
	}
	return len(steps)
}

// commandsOf returns a step that runs the buildspec's commands for a phase.
func commandsOf(name spec.Name) func(*build, context.Context) error {
	return func(b *build, ctx context.Context) error {
		b.log.agent("Entering phase %s", name)
		phase, _ := b.spec.Phase(name)
		b.as = b.users[cmp.Or(phase.RunAs, b.spec.RunAs)]
		defer func() { b.as = user{} }()
		err := b.runCommands(ctx, phase.Commands)
		if last := b.runCommands(ctx, phase.Finally); err == nil {
			err = last
		}
		return err
	}
}

// finalize collects the result and ends the processes that the build left
// running.
func (b *build) finalize(ctx context.Context) error {
	if b.spec == nil {
		return nil
	}
	exported, err := b.exportedVariables(ctx)
	if err != nil {
		return err
	}
	b.record.Export(exported)
	b.supervised.close()
	return nil
}

// cleanUp undoes what PROVISIONING did, whichever way the build ended.
func (b *build) cleanUp() {
	for i := len(b.release) - 1; i >= 0; i-- {
		b.release[i]()
	}
}
