package codebuild

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TargetPrefix is CodeBuild's in AWS JSON.
const TargetPrefix = "CodeBuild_20161006"

// An Executor runs one build, from PROVISIONING to FINALIZING. The real one is
// in package agent.
type Executor interface {
	// Execute runs the build and returns SUCCEEDED, FAILED or FAULT. It reports
	// each phase to record. When ctx ends, Execute ends what it started and
	// returns with the phase open. The service knows why it was interrupted,
	// and closes the phase.
	Execute(ctx context.Context, build types.Build, record *Record) types.StatusType
}

// IAM has the methods of package iam that the service calls.
type IAM interface {
	Role(name string) (iam.Role, bool, error)
	AssumeRole(iam.Assumption) (iam.Session, error)
	Authorize(ctx context.Context, needs ...iam.Permission) error
}

// Options are the settings of a Service. Store, Clock, Region, IAM and Executor
// are required.
type Options struct {
	Store    *store.Store
	Clock    clockwork.Clock
	Region   string
	IAM      IAM
	Executor Executor

	// Concurrency is how many builds run at the same time. The default is the
	// number of CPUs, and at least 2. The queue holds five times as many, as on
	// AWS.
	Concurrency int

	Inheritance Inheritance // what a source type override keeps of the project's source

	Log *slog.Logger // failures to keep a build's state; discarded by default
}

// These are the causes for which a running build's context ends.
var (
	errStopped  = errors.New("the build was stopped")
	errTimedOut = errors.New("the build has timed out")
	errClosed   = errors.New("the engine was shut down")
)

// A Service keeps projects and runs builds. It is safe for concurrent use.
type Service struct {
	Options
	projects *store.Table[storedProject]
	builds   *buildTable
	tokens   *store.Table[storedToken]

	mu      sync.Mutex // guards what follows, and makes StartBuild's decisions one at a time
	closed  bool
	history []entry // every build, oldest first
	active  map[string]*job
	unsaved map[string]*Record // complete builds whose end the store could not take yet
	waiting []*job
	running int
	jobs    sync.WaitGroup
}

// New returns the service whose state is in options.Store.
func New(options Options) (*Service, error) {
	options.Concurrency = cmp.Or(options.Concurrency, max(runtime.NumCPU(), 2))
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	s := &Service{Options: options, active: map[string]*job{}, unsaved: map[string]*Record{}}
	var err error
	if s.builds, err = openBuilds(s.Store); err != nil {
		return nil, err
	}
	if err := errors.Join(
		store.OpenTable(s.Store, "codebuild.projects", &s.projects),
		store.OpenTable(s.Store, "codebuild.tokens", &s.tokens),
	); err != nil {
		return nil, err
	}
	return s, s.loadHistory()
}

// loadHistory loads the history of builds in the order of their starts.
func (s *Service) loadHistory() error {
	stored, err := s.builds.all()
	if err != nil {
		return err
	}
	slices.SortFunc(stored, func(a, b storedBuild) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for _, b := range stored {
		s.history = append(s.history, entry{sequence: b.Sequence, id: *b.Build.Id, project: *b.Build.ProjectName})
	}
	return nil
}

// Recover ends the builds that an earlier engine left unfinished. They become
// FAULT, with a context that says why. Call it once, before the first request.
func (s *Service) Recover() error {
	stored, err := s.builds.all()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range stored {
		if b.Build.BuildComplete {
			continue
		}
		record := s.record(b)
		record.fail(engineEnded)
		s.settle(record, types.StatusTypeFault)
	}
	return nil
}

// Close interrupts all builds, which become FAULT with a context that says so,
// and waits until they have ended.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, j := range slices.Clone(s.waiting) {
		s.dequeue(j, errClosed)
	}
	for _, j := range s.active {
		j.cancel(errClosed)
	}
	s.mu.Unlock()
	s.jobs.Wait()
	for _, r := range s.unsaved { // nobody adds to it any more
		r.keep()
	}
	return nil
}
