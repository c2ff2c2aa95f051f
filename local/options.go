package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
)

// Options are the settings of an engine. Dir is required.
type Options struct {
	// Dir is the state directory. It is created if it does not exist, and gets
	// mode 0700. One engine at a time uses it.
	Dir string

	// Addr is the loopback address to listen on, such as "127.0.0.1:4566". The
	// default is the address that the engine of this Dir used last, so that
	// stored names stay valid, or a free port of 127.0.0.1 the first time.
	Addr string

	// Listener is used instead of a listener on Addr if it is not nil. It is
	// for package localtest, whose engines can be reached through memory.
	Listener net.Listener

	// Region is the only region that the engine serves. The default is
	// us-east-1. A Dir keeps the region with which it was created.
	Region string

	// Concurrency is how many builds run at the same time. The default is the
	// number of CPUs, and at least 2.
	Concurrency int

	// AWSLimits throttles calls above AWS's default quotas, as far as AWS
	// publishes them, and makes 1 the default of Concurrency, which is what a new
	// account has. By default, calls are not throttled.
	AWSLimits bool

	// Inheritance determines what a build keeps of its project's source if a
	// call overrides the source type. The default is everything. It is for
	// package localtest.
	Inheritance codebuild.Inheritance

	// Prepare is called when the engine answers requests, and before
	// ReadEndpoint finds the engine. So whoever waits for the engine finds what
	// Prepare has deployed. An error of Prepare ends the start. The default
	// does nothing.
	Prepare func(context.Context, Endpoint) error

	// KeepAllOfZIP makes builds keep the symbolic links, times, set-uid,
	// set-gid and sticky bits of a source from S3. By default they are lost,
	// because it is not known whether CodeBuild keeps them, and a build that
	// works without them works with them.
	KeepAllOfZIP bool

	// LogDelay returns how long an event of a log stream stays invisible after
	// it was written, given the stream's name and the event's number in it. An
	// event becomes visible after those before it, but FilterLogEvents may find
	// it up to 4 seconds earlier. By default, events are visible at once. It is
	// for package localtest.
	LogDelay func(stream string, event uint64) time.Duration

	// LogPage returns how many events a page of a log may have, in the place of
	// AWS's 10,000. FilterLogEvents may return an empty page that is not the
	// last one. It is for package localtest.
	LogPage func() int

	Clock clockwork.Clock // the system's by default
	Log   *slog.Logger    // discarded by default

	// Executor makes the executor of builds that replaces the agent. It is for
	// the simulated builds of package localtest. Its types are internal, so
	// other packages cannot set it.
	Executor func(*logs.Service) codebuild.Executor
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("local.Options.Dir is required: the directory where the engine keeps its state, such as local.DefaultDir()")
	}
	dir, err := filepath.Abs(o.Dir) // builds run in folders of their own
	if err != nil {
		return o, fmt.Errorf("find the engine's state directory: %w", err)
	}
	if strings.ContainsAny(dir, "%?#") {
		return o, fmt.Errorf("the state directory %q has one of %% ? # in its name, which the address of BuildKit's socket there cannot have: choose another", dir)
	}
	o.Dir = dir
	o.Region = cmp.Or(o.Region, "us-east-1")
	if o.AWSLimits {
		o.Concurrency = cmp.Or(o.Concurrency, awsConcurrency)
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	return o, nil
}
