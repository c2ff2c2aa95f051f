package local

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/agent"
	"github.com/codebuild-flex/flexbuild/local/internal/builder"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// An executor runs builds with the agent. A privileged build may build
// containers. It gets a builder on its PATH and in its environment, where a
// build on AWS has a Docker daemon.
type executor struct {
	agent   *agent.Agent
	builder *builder.Builder
}

// Execute implements codebuild.Executor.
func (e executor) Execute(ctx context.Context, build types.Build, record *codebuild.Record) types.StatusType {
	if build.Environment == nil || !aws.ToBool(build.Environment.PrivilegedMode) {
		return e.agent.Execute(ctx, build, record)
	}
	environment, err := e.builder.Environment(ctx)
	if err != nil {
		return noBuilder(ctx, record, err)
	}
	agent := *e.agent
	agent.Environment = maps.Clone(agent.Environment)
	if agent.Environment == nil {
		agent.Environment = map[string]string{}
	}
	for _, variable := range environment.Variables {
		name, value, _ := strings.Cut(variable, "=")
		agent.Environment[name] = value
	}
	if environment.PathPrefix != "" {
		agent.Path = append([]string{environment.PathPrefix}, agent.Path...)
	}
	return agent.Execute(ctx, build, record)
}

// noBuilder ends a build in PROVISIONING because nothing on this machine can
// build containers. The error says what to install.
func noBuilder(ctx context.Context, record *codebuild.Record, err error) types.StatusType {
	record.Begin(types.BuildPhaseTypeProvisioning)
	if ctx.Err() == nil {
		message := "this machine cannot build container images: " + err.Error()
		record.End(types.StatusTypeFault, types.PhaseContext{StatusCode: aws.String("INTERNAL_ERROR"), Message: &message})
	}
	return types.StatusTypeFault
}

// StandIn acts as the docker or aws command, and exits, if the program was
// started under one of these names. That is how builds call the engine's
// stand-ins for commands that the machine lacks. A program may also be started
// as the process that ends the builds of an engine that was killed. Otherwise
// StandIn returns at once. Every program that runs an engine must call it first
// in main, and tests that do so in TestMain.
func StandIn() {
	agent.WatcherMain()
	standin.Main()
	standsIn.Store(true)
}

// standsIn reports whether StandIn was called. A program that does not call it
// cannot be started as anything else.
var standsIn atomic.Bool
