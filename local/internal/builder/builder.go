// Package builder gives builds what they build containers with: a BuildKit, and
// a docker and an aws on their PATH.
//
//	b := builder.New(builder.Options{Dir: filepath.Join(stateDir, "builder")})
//	defer b.Close()
//	env, err := b.Environment(ctx) // once per build; the first one starts what is to be started
//	cmd.Env = append(cmd.Env, "PATH="+env.PathPrefix+":…")
//	cmd.Env = append(cmd.Env, env.Variables...)
//
// Environment looks at the machine (machine.go) and decides (plan.go):
//
//   - A Docker daemon of this machine that answers, with buildx, is used: by a
//     BuildKit container in it (container.go) that BUILDX_BUILDER names for
//     builds, or, where it cannot start one, as it is.
//   - Else buildkitd runs as a child process of the engine (buildkitd.go), and
//     BUILDKIT_HOST leads builds to it. That needs root and runc. It dies with
//     the engine.
//   - docker and aws are the machine's own where they are fit for builds, else
//     stand-ins: see package standin.
//
// Nothing is started before the first build, so that an engine that only
// answers API calls needs none of this; and when something is missing, the
// error that says what to install reaches the build that needs it, and the next
// build looks again.
//
// What a RUN step may do differs from AWS in one respect: without a Docker
// daemon it uses the machine's network as it is, the loopback interface
// included. The engine answers nobody there without credentials.
package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// A Mode determines which docker and aws builds get.
type Mode string

const (
	Auto    Mode = ""        // the machine's own if they have what builds need, otherwise stand-ins
	Machine Mode = "machine" // the machine's own, or an error if there are none
	StandIn Mode = "standin" // stand-ins, and buildkitd even if a Docker daemon answers
)

// ModeVariable is the environment variable that sets the Mode of engines whose
// options do not set it.
const ModeVariable = "FLEXBUILD_BUILD_TOOLS"

// Options are the settings of a Builder. Dir is required.
type Options struct {
	Dir  string // folder of buildkitd's state and of the stand-ins
	Mode Mode   // default: that of FLEXBUILD_BUILD_TOOLS

	// Registry is the account's, which the stand-ins and buildkitd reach by its
	// name on AWS; zero if there is none.
	Registry standin.Registry
}

// An Environment is what a build needs to find its builder.
type Environment struct {
	Builder    string   // a description of what builds, for logs
	PathPrefix string   // folder to put first on PATH; empty for none
	Variables  []string // NAME=value, besides PATH
}

// A Builder prepares the environments of builds. It is safe for concurrent use.
type Builder struct {
	options Options
	turn    chan struct{} // holds a token unless somebody changes the fields below
	ready   *Environment  // nil until prepared
	daemon  *buildkitd    // nil unless running one
}

// New returns a builder that has not started anything.
func New(o Options) *Builder {
	b := &Builder{options: o, turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

// Environment returns the environment of a build, and starts what it needs.
// That takes a second or two the first time, and no time later, unless
// buildkitd has died and has to be started again.
func (b *Builder) Environment(ctx context.Context) (Environment, error) {
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return Environment{}, fmt.Errorf("wait for the container builder: %w", ctx.Err())
	}
	if b.ready != nil && (b.daemon == nil || b.daemon.running()) {
		return *b.ready, nil
	}
	env, err := b.prepare(ctx)
	if err != nil {
		return Environment{}, err
	}
	b.ready = &env
	return env, nil
}

// Check returns an error if this machine cannot build containers. It starts
// nothing.
func (b *Builder) Check(ctx context.Context) error {
	_, err := b.plan(ctx)
	return err
}

func (b *Builder) plan(ctx context.Context) (plan, error) {
	mode, err := b.mode()
	if err != nil {
		return plan{}, err
	}
	return look(ctx, mode).plan(mode)
}

// prepare looks at the machine, makes a plan and starts what the plan needs.
func (b *Builder) prepare(ctx context.Context) (Environment, error) {
	p, err := b.plan(ctx)
	if err != nil {
		return Environment{}, err
	}
	env := Environment{Builder: p.builder, Variables: p.variables}
	if env.PathPrefix, err = b.install(p); err != nil {
		return Environment{}, err
	}
	if p.buildkitd == "" {
		err := b.useDocker(ctx, p, &env)
		return env, err
	}
	if b.daemon, err = startBuildkitd(ctx, b.options, p); err != nil {
		return Environment{}, err
	}
	env.Variables = append(env.Variables, "BUILDKIT_HOST="+b.daemon.address())
	return env, nil
}

// useDocker points builds at a BuildKit in the Docker daemon.
func (b *Builder) useDocker(ctx context.Context, p plan, env *Environment) error {
	c, err := newContainer(b.options.Dir, p)
	if err != nil {
		return fmt.Errorf("use the Docker daemon: %w", err)
	}
	variables, why := c.variables(ctx)
	env.Variables = append(env.Variables, variables...)
	if why != "" {
		env.Builder += " (" + why + ")"
	}
	return ctx.Err()
}

func (b *Builder) mode() (Mode, error) {
	mode := b.options.Mode
	if mode == Auto {
		mode = Mode(os.Getenv(ModeVariable))
	}
	switch mode {
	case Auto, Machine, StandIn:
		return mode, nil
	case "auto":
		return Auto, nil
	}
	return "", fmt.Errorf("%s is %q: it may be auto, %s or %s", ModeVariable, mode, Machine, StandIn)
}

// install installs the plan's stand-ins in a folder and returns its path, "" if
// there are none.
func (b *Builder) install(p plan) (string, error) {
	if len(p.standIns.Commands) == 0 {
		return "", nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program that stands in for docker and aws: %w", err)
	}
	dir, err := filepath.Abs(filepath.Join(b.options.Dir, "bin"))
	if err != nil {
		return "", err
	}
	p.standIns.Registry = b.options.Registry
	return dir, standin.Install(dir, exe, p.standIns)
}

// Close stops buildkitd, if it runs, and waits until it has ended. Builds that
// use it fail. Its state stays on disk, so that later builds are fast.
func (b *Builder) Close() error {
	<-b.turn
	defer func() { b.turn <- struct{}{} }()
	b.ready = nil
	if b.daemon == nil {
		return nil
	}
	d := b.daemon
	b.daemon = nil
	return d.stop()
}
