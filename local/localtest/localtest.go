// Package localtest runs the real local engine in Go tests of any code that
// calls CodeBuild, CloudWatch Logs, ECR, CloudFormation, S3 or flexbuild's
// runner.
//
//	func TestDeploysTheImage(t *testing.T) {
//		engine := localtest.New(t, localtest.SimulateBuilds(nil))
//		engine.Deploy(t, buildspec.StackName, flexbuild.Template)
//		client, err := runner.New(t.Context(), engine.Config(), buildspec.StackName)
//		…
//	}
//
// The engine listens on a free port, keeps its state in the test's temporary
// directory, and ends with the test. Over HTTP it is the same engine that
// `flexbuild local` runs.
//
// With [SimulateBuilds], a function of the test replaces the commands of a
// build. Phases, log, exported variables and status stay those of a real build.
// Without it, builds really run. They need what builds of `flexbuild local`
// need, and the test's package must call local.StandIn in its TestMain.
//
// The exported API is covered by the compatibility promise of the module, which
// package flexbuild states.
package localtest

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
)

// An Engine is a running engine that belongs to a test.
type Engine struct {
	options local.Options
	engine  *local.Engine
	client  aws.HTTPClient // of an engine in memory
}

// An Option changes the settings of an engine. It is one of the functions
// below, or any function that changes local.Options.
type Option func(*local.Options)

// WithRegion sets the region that the engine serves. The default is us-east-1.
func WithRegion(region string) Option { return func(o *local.Options) { o.Region = region } }

// WithConcurrency sets how many builds run at the same time. The queue holds
// five times as many, as on AWS.
func WithConcurrency(builds int) Option { return func(o *local.Options) { o.Concurrency = builds } }

// Inheritance determines what a build keeps of its project's source if a call
// overrides the source type: location, version, clone depth, submodules and
// insecureSsl. AWS does not document that, so a program should work with both
// values.
type Inheritance = codebuild.Inheritance

// These are the values of Inheritance. The default is InheritEverything.
const (
	InheritEverything = codebuild.InheritEverything
	InheritNothing    = codebuild.InheritNothing
)

// WithInheritance sets what a build keeps of its project's source if a call
// overrides the source type.
func WithInheritance(kept Inheritance) Option { return func(o *local.Options) { o.Inheritance = kept } }

// WithClock sets the engine's clock. Requests must be signed at about the time
// that it shows.
func WithClock(clock clockwork.Clock) Option { return func(o *local.Options) { o.Clock = clock } }

// SimulateBuilds replaces the commands of all builds by a function that runs in
// the BUILD phase. If the function returns an error, the phase fails. If build
// is nil, every build succeeds with an image whose digest is derived from the
// build's id.
func SimulateBuilds(build func(*Build) error) Option {
	if build == nil {
		build = func(b *Build) error { b.ExportImage(); return nil }
	}
	return func(o *local.Options) {
		o.Executor = func(logs *logs.Service) codebuild.Executor {
			return simulator{logs: logs, clock: o.Clock, build: build}
		}
	}
}

// New starts an engine that ends with the test. If it cannot be started or
// closed, the test fails.
func New(t testing.TB, options ...Option) *Engine {
	t.Helper()
	e := &Engine{options: local.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Clock: clockwork.NewRealClock()}}
	for _, change := range options {
		change(&e.options)
	}
	e.start(t)
	if memory, ok := e.options.Listener.(*memoryListener); ok {
		e.client = memory.client(t)
	}
	e.options.Addr = "" // a restart listens where the stored addresses point
	t.Cleanup(func() {
		if err := e.engine.Close(); err != nil {
			t.Errorf("close the local engine: %v", err)
		}
	})
	return e
}

func (e *Engine) start(t testing.TB) {
	t.Helper()
	engine, err := local.Start(t.Context(), e.options)
	if err != nil {
		t.Fatalf("start the local engine: %v", err)
	}
	e.engine = engine
}

// Restart closes the engine and starts another one with the same state at the
// same address.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	if err := e.engine.Close(); err != nil {
		t.Fatalf("close the local engine: %v", err)
	}
	e.start(t)
}

// Endpoint returns the engine's address and keys, for clients other than the
// SDK.
func (e *Engine) Endpoint() local.Endpoint { return e.engine.Endpoint() }

// Config returns a configuration that points the SDK at the engine.
func (e *Engine) Config() aws.Config {
	cfg := e.engine.Endpoint().Config()
	if e.client != nil {
		cfg.HTTPClient = e.client
	}
	return cfg
}

// Dir returns the engine's state directory, in which local.ReadEndpoint finds
// the endpoint.
func (e *Engine) Dir() string { return e.options.Dir }

// WithoutBuildspec returns the template with a minimal buildspec in its
// projects. Every description of a build contains the buildspec. Simulated
// builds do not need it, and with many builds it takes most of the time.
func WithoutBuildspec(t testing.TB, template string) string {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(template), &document); err != nil {
		t.Fatal(err)
	}
	resources, _ := document["Resources"].(map[string]any)
	for _, resource := range resources {
		properties, _ := resource.(map[string]any)["Properties"].(map[string]any)
		if source, ok := properties["Source"].(map[string]any); ok {
			source["BuildSpec"] = "version: 0.2"
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Deploy creates or updates a stack and waits until that is done. If it fails,
// the test ends.
func (e *Engine) Deploy(t testing.TB, stack, template string) {
	t.Helper()
	if err := local.Deploy(t.Context(), e.Config(), stack, template); err != nil {
		t.Fatal(err)
	}
}
