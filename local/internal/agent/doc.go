// Package agent runs builds: what CodeBuild's agent does inside a build
// container, done on this machine.
//
//	builds, err := agent.New(agent.Options{Dir: dir, Clock: clock, AWS: endpoint.Config(), IAM: iam, Credentials: credentials})
//	status := builds.Execute(ctx, build, record, agent.Tools{})
//
// A build goes through its phases in AWS's order (phases.go). It gets a fresh
// work folder with a source and a home in it; its source is downloaded
// (source.go, git.go, unzip.go); its buildspec is parsed (package spec) and its
// commands run one by one (command.go), each in a script of its own, between
// which exported variables and the working directory live on. Variables that
// name a parameter or a secret get its value (secrets.go), which the log hides.
// What they print goes to the log together with the agent's own lines, worded
// as CodeBuild words them (log.go).
//
// A build acts as its role. The agent is a client of the engine like any other:
// it writes the log and reads the S3 source, parameters and secrets with the
// SDK and the role's credentials (clients.go). The build's commands find these
// where containers find them (credentials.go). Their environment is made from
// nothing (environment.go): no variable of the engine reaches them.
//
// There is no container. A build's commands run as the engine's user, or as the
// user whom run-as names (runas.go), and see that user's files. A process that
// supervises the build starts them, and kills what descends from them when the
// build ends or the engine dies (supervisor.go). On macOS, a process that
// leaves its process group escapes. Builds are as trusted as the person who
// runs the engine.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// IAM has the methods of package iam that the agent calls: on AWS, CodeBuild
// assumes the role, and other services authorize what CodeBuild does with it.
type IAM interface {
	AssumeRole(iam.Assumption) (iam.Session, error)
	Authorize(ctx context.Context, needs ...iam.Permission) error
}

// Options are the settings of an Agent. Those without a default are required.
type Options struct {
	Dir         string // where builds have their work folders: for the engine alone, created when it is not there
	Clock       clockwork.Clock
	AWS         aws.Config // how builds and the agent reach the engine; its credentials are not used
	IAM         IAM
	Credentials *Credentials // serves the builds' credentials

	Arch string // GOARCH of this machine, for which builds run; the program's by default

	// KeepAllOfZIP keeps links, times and special bits of a source from S3. By
	// default they are lost, which is the worst that CodeBuild may do.
	KeepAllOfZIP bool

	// Grace is how long the commands of a stopped build may take to end after
	// SIGTERM; 5 s by default.
	Grace time.Duration

	Log *slog.Logger // what a build's own log cannot say; discarded by default
}

// Tools are what a build has besides the programs of the machine.
type Tools struct {
	Path        []string          // folders in front of the build's PATH
	Environment map[string]string // more variables, such as BUILDKIT_HOST
}

// An Agent runs builds. It is safe for concurrent use.
type Agent struct{ Options }

const defaultGrace = 5 * time.Second

// New returns an agent. It first removes what builds of a killed engine left in
// Dir, when their supervisors have ended their processes.
func New(options Options) (*Agent, error) {
	options.Arch = cmp.Or(options.Arch, runtime.GOARCH)
	options.Grace = cmp.Or(options.Grace, defaultGrace)
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of builds: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(options.Dir, "build-*"))
	if err != nil {
		return nil, fmt.Errorf("look for old builds: %w", err)
	}
	for _, dir := range left {
		if err := errors.Join(awaitSupervisor(dir), (workFolder{root: dir}).remove()); err != nil {
			return nil, err
		}
	}
	return &Agent{Options: options}, nil
}
