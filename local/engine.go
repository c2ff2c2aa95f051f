package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codebuild-flex/flexbuild/local/internal/agent"
	"github.com/codebuild-flex/flexbuild/local/internal/builder"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/iamapi"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
	"github.com/codebuild-flex/flexbuild/local/internal/s3"
	"github.com/codebuild-flex/flexbuild/local/internal/secretsmanager"
	"github.com/codebuild-flex/flexbuild/local/internal/ssm"
	"github.com/codebuild-flex/flexbuild/local/internal/standin"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/sts"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// shutdownTimeout is how long Close waits for requests that are being answered.
const shutdownTimeout = 5 * time.Second

// An Engine is a running local engine.
type Engine struct {
	options  Options
	endpoint Endpoint

	db       *store.Store
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup // the goroutine that accepts connections
	services services
	builds   string // the folder of the builds' work folders

	closing sync.Once
	closers []func() error // undo what Start did; the last is called first
	closed  error
}

// services are the services of an engine.
type services struct {
	iam            *iam.Service
	logs           *logs.Service
	s3             *s3.Service
	ecr            *ecr.Service
	builder        *builder.Builder
	credentials    *agent.Credentials
	ssm            *ssm.Service
	secretsmanager *secretsmanager.Service
	codebuild      *codebuild.Service
	cloudformation *cloudformation.Service
}

// Start starts an engine, which runs until Close is called. ctx bounds the
// start only. Start returns ErrRunning if another engine uses the directory,
// and an error on Windows unless builds are simulated.
func Start(ctx context.Context, options Options) (_ *Engine, err error) {
	if options.Executor == nil {
		if err := checkSystem(runtime.GOOS); err != nil {
			return nil, err
		}
	}
	options, err = options.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, step := range []func(context.Context) error{e.openState, e.listen, e.assemble, e.recover, e.serve, e.prepare, e.announce} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	options.Log.Info("the local engine is running", "url", e.endpoint.URL, "dir", options.Dir)
	return e, nil
}

// checkSystem returns an error for systems on which the engine cannot end the
// processes that real builds leave behind. Simulated builds start none.
func checkSystem(name string) error {
	if name == "windows" {
		return errors.New("the local engine runs no builds on Windows, which has no process groups: start it on Linux, macOS or in the Windows Subsystem for Linux (WSL). Simulated builds of package localtest need none")
	}
	return nil
}

// Endpoint returns the engine's address with the keys to it.
func (e *Engine) Endpoint() Endpoint { return e.endpoint }

// CheckBuilder returns an error if this machine cannot build containers, or if
// the program did not call StandIn, and says what is missing. Everything but
// builds works without that. CheckBuilder starts nothing.
func (e *Engine) CheckBuilder(ctx context.Context) error {
	if e.services.builder == nil {
		return nil
	}
	if err := agent.CheckMain(); err != nil {
		return err
	}
	return e.services.builder.Check(ctx)
}

// Close stops the builds, which become FAULT with a reason, then everything
// else, and waits until all of it has ended. It may be called more than once.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		for i := len(e.closers) - 1; i >= 0; i-- {
			e.closed = errors.Join(e.closed, e.closers[i]())
		}
	})
	return e.closed
}

func (e *Engine) onClose(close func() error) { e.closers = append(e.closers, close) }

// openState opens the state file and takes its lock.
func (e *Engine) openState(context.Context) (err error) {
	if err := makePrivate(e.options.Dir); err != nil {
		return err
	}
	e.db, err = store.Open(statePath(e.options.Dir))
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%w in %s%s: stop it first, or choose another directory", ErrRunning, e.options.Dir, runningPID(e.options.Dir))
	}
	if err != nil {
		return err
	}
	e.onClose(e.db.Close)
	// The file is that of an engine that was killed. Until this engine is
	// announced, none can be found.
	if err := os.Remove(endpointPath(e.options.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return checkRegion(e.db, e.options.Region)
}

// makePrivate creates the state directory. An existing one is taken from
// everybody but its owner, because secrets lie in it. A directory that all
// users share is refused.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the engine's state directory: %w", err)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("look at the engine's state directory: %w", err)
	case info.Mode()&fs.ModeSticky != 0:
		return fmt.Errorf("the state directory %s is one that all users share: choose a directory below it", dir)
	case info.Mode().Perm() == 0o700:
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("make the engine's state directory private: %w", err)
	}
	return nil
}

// assemble makes the services. Each gets what it needs of the others. Nothing
// runs yet.
func (e *Engine) assemble(context.Context) (err error) {
	o, s := e.options, &e.services
	if s.iam, err = iam.New(iam.Options{Store: e.db, Clock: o.Clock}); err != nil {
		return err
	}
	if e.endpoint, err = newEndpoint(e.listener, o.Region, s.iam); err != nil {
		return err
	}
	s.logs, err = logs.New(logs.Options{Store: e.db, Clock: o.Clock, Region: o.Region, Delay: o.LogDelay, Page: o.LogPage})
	if err != nil {
		return err
	}
	s.s3, err = s3.New(s3.Options{Store: e.db, Clock: o.Clock, Region: o.Region, IAM: s.iam, Dir: e.path("s3")})
	if err != nil {
		return err
	}
	s.ecr, err = ecr.New(ecr.Options{Store: e.db, Clock: o.Clock, Region: o.Region, Dir: e.path("registry"), Host: e.listener.Addr().String()})
	if err != nil {
		return err
	}
	if s.ssm, err = ssm.New(ssm.Options{Store: e.db, Clock: o.Clock, Region: o.Region}); err != nil {
		return err
	}
	if s.secretsmanager, err = secretsmanager.New(secretsmanager.Options{Store: e.db, Clock: o.Clock, Region: o.Region}); err != nil {
		return err
	}
	if s.codebuild, err = e.newCodeBuild(); err != nil {
		return err
	}
	e.onClose(s.codebuild.Close)
	if s.cloudformation, err = e.newCloudFormation(); err != nil {
		return err
	}
	e.onClose(s.cloudformation.Close)
	return nil
}

func (e *Engine) newCodeBuild() (*codebuild.Service, error) {
	o := e.options
	executor, err := e.newExecutor()
	if err != nil {
		return nil, err
	}
	return codebuild.New(codebuild.Options{
		Store: e.db, Clock: o.Clock, Region: o.Region, IAM: e.services.iam, Executor: executor, Concurrency: o.Concurrency,
		Inheritance: o.Inheritance, Log: o.Log,
	})
}

// newCloudFormation makes the service whose stacks consist of the other
// services' resources.
func (e *Engine) newCloudFormation() (*cloudformation.Service, error) {
	o, s := e.options, e.services
	return cloudformation.New(cloudformation.Options{
		Store: e.db, Clock: o.Clock, Region: o.Region, IAM: s.iam, Log: o.Log,
		Objects: s.s3, Host: e.listener.Addr().String(), Parameters: s.ssm,
		Providers: resources.Providers(resources.Services{
			Region: o.Region, AccountID: iam.AccountID,
			Roles: s.iam, LogGroups: s.logs, Buckets: s.s3, Repositories: s.ecr, Projects: s.codebuild,
			Parameters: s.ssm, Secrets: s.secretsmanager,
		}),
	})
}

// newExecutor makes the executor of builds: the agent, with a builder of
// containers.
func (e *Engine) newExecutor() (codebuild.Executor, error) {
	o, s := e.options, &e.services
	if o.Executor != nil {
		return o.Executor(s.logs), nil
	}
	if err := e.openBuilds(); err != nil {
		return nil, err
	}
	s.builder = builder.New(builder.Options{
		Dir:      e.path("builder"),
		Registry: standin.Registry{Host: ecr.HostOnAWS(o.Region), Address: e.listener.Addr().String()},
	})
	e.onClose(s.builder.Close)
	s.credentials = &agent.Credentials{}
	a, err := agent.New(agent.Options{
		Dir: e.builds, Clock: o.Clock, AWS: e.endpoint.Config(), IAM: s.iam, Credentials: s.credentials, Log: o.Log,
		KeepAllOfZIP: o.KeepAllOfZIP,
	})
	// The builder looks for docker and aws where the engine's user has them, and
	// so must builds.
	path := slices.DeleteFunc(filepath.SplitList(os.Getenv("PATH")), func(dir string) bool { return !filepath.IsAbs(dir) })
	return executor{agent: a, builder: s.builder, path: path}, err
}

// recover ends the builds that an engine which was killed left unfinished.
func (e *Engine) recover(context.Context) error { return e.services.codebuild.Recover() }

// prepare calls Options.Prepare.
func (e *Engine) prepare(ctx context.Context) error {
	if e.options.Prepare == nil {
		return nil
	}
	return e.options.Prepare(ctx, e.endpoint)
}

// handler returns the handler of all requests: those of the services, and those
// of builds for their credentials.
func (e *Engine) handler() http.Handler {
	s := e.services
	var rates map[string]float64
	if e.options.AWSLimits {
		rates = awsRates
	}
	apis := wire.New(wire.Config{
		Rates:  rates,
		Region: e.options.Region, IAM: s.iam, Clock: e.options.Clock, Log: e.options.Log, S3: s.s3, Registry: s.ecr,
		JSON: []wire.JSONService{
			{Name: "codebuild", TargetPrefix: codebuild.TargetPrefix, Service: s.codebuild},
			{Name: "ecr", TargetPrefix: ecr.TargetPrefix, Service: s.ecr},
			{Name: "logs", TargetPrefix: logs.TargetPrefix, Service: s.logs},
			{Name: "secretsmanager", TargetPrefix: secretsmanager.TargetPrefix, Service: s.secretsmanager},
			{Name: "ssm", TargetPrefix: ssm.TargetPrefix, Service: s.ssm},
		},
		Query: []wire.QueryService{
			{Name: "cloudformation", Version: cloudformation.Version, Namespace: cloudformation.Namespace, Service: s.cloudformation},
			{Name: "iam", Version: iamapi.Version, Namespace: iamapi.Namespace, Service: iamapi.New(iamapi.Options{IAM: s.iam})},
			{Name: "sts", Version: sts.Version, Namespace: sts.Namespace, Service: sts.New(sts.Options{IAM: s.iam})},
		},
	})
	if s.credentials == nil {
		return apis
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, agent.CredentialsPath) && r.Body == http.NoBody {
			s.credentials.ServeHTTP(w, r)
			return
		}
		apis.ServeHTTP(w, r)
	})
}

func (e *Engine) path(name string) string { return filepath.Join(e.options.Dir, name) }
