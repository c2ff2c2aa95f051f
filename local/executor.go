package local

import (
	"context"
	"strings"

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
	path    []string // of all builds
}

// Execute implements codebuild.Executor.
func (e executor) Execute(ctx context.Context, build types.Build, record *codebuild.Record) types.StatusType {
	tools := agent.Tools{Path: e.path}
	if build.Environment == nil || !aws.ToBool(build.Environment.PrivilegedMode) {
		return e.agent.Execute(ctx, build, record, tools)
	}
	environment, err := e.builder.Environment(ctx)
	if err != nil {
		return noBuilder(ctx, record, err)
	}
	tools.Environment = map[string]string{}
	for _, variable := range environment.Variables {
		name, value, _ := strings.Cut(variable, "=")
		tools.Environment[name] = value
	}
	if environment.PathPrefix != "" {
		tools.Path = append([]string{environment.PathPrefix}, e.path...)
	}
	return e.agent.Execute(ctx, build, record, tools)
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

// StandIn lets the engine start this program as another one. Every program
// whose engine runs builds must call it first in main, and tests in TestMain.
// Without it, builds fail with a reason. Simulated builds of package localtest
// do not need it.
//
// StandIn acts as another program, and exits, if this one was started under one
// of these names; otherwise it returns at once:
//
//   - flexbuild-supervisor, which starts the commands of one build, and ends
//     all that is left of them when the build ends or the engine dies;
//   - docker and aws, which builds call where the machine lacks them.
func StandIn() {
	agent.SupervisorMain()
	standin.Main()
}

// CheckBuilder returns an error if an engine on this machine could not build
// containers, and says what is missing. It starts nothing.
func CheckBuilder(ctx context.Context) error { return builder.New(builder.Options{}).Check(ctx) }
