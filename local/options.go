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

// Options say how to run an engine. Dir is required.
type Options struct {
	// Dir is the state directory, which is created with mode 0700 when it is not there. One engine at a time uses it.
	Dir string

	// Addr is the loopback address to listen on, such as "127.0.0.1:4566". By default it is the one that the engine of
	// this Dir used last, so that what is stored under it stays true, and a free port of 127.0.0.1 the first time.
	Addr string

	// Listener is used instead of one on Addr, if it is not nil. It is for package localtest, whose engines can be
	// reached through memory.
	Listener net.Listener

	// Region is the one region that the engine serves; us-east-1 by default. A Dir keeps to the region it began with.
	Region string

	// Concurrency is how many builds run at once; the number of CPUs, and at least 2, by default.
	Concurrency int

	// Inheritance says what a build that overrides its project's source type keeps of the project's source; everything by
	// default. It is for package localtest.
	Inheritance codebuild.Inheritance

	// Prepare is called when the engine answers requests, before ReadEndpoint finds it: whoever waits for the engine
	// then finds what Prepare has deployed. Its error ends the start. By default nothing is prepared.
	Prepare func(context.Context, Endpoint) error

	// KeepAllOfZIP makes builds find the symbolic links, times, set-uid, set-gid and sticky bits of a source from S3. By
	// default they are lost, because it is unknown whether CodeBuild keeps them: what works without them works with them.
	KeepAllOfZIP bool

	// LogDelay says for how long an event of a log stream cannot be read after it was written, by the stream's name and
	// the event's number in it. An event waits for those before it, but FilterLogEvents may find it up to 4 seconds earlier
	// than they. By default events can be read at once. It is for package localtest.
	LogDelay func(stream string, event uint64) time.Duration

	// LogPage says how many events a page of a log has at most, in the place of AWS's 10,000. FilterLogEvents may return an
	// empty page that is not the last one. It is for package localtest.
	LogPage func() int

	Clock clockwork.Clock // the system's by default
	Log   *slog.Logger    // discarded by default

	// Executor makes what runs builds in the agent's stead. It is for package localtest, whose simulated builds use it;
	// its types keep everybody else away.
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
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	return o, nil
}
