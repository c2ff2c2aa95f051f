// Package batch builds many images with one client.
//
//	requests := map[string]runner.Request{"api": …, "web": …}
//	for key, outcome := range batch.RunAll(ctx, client, maps.All(requests)) {
//		if outcome.Err != nil {
//			log.Println(key, outcome.Err)
//			continue
//		}
//		fmt.Println(key, outcome.Result.ImageURI)
//	}
//
// The requests may be generated while the first builds run: RunAll takes the
// next request when it may start another build. A build that fails does not end
// the others.
//
// With [WithRunID], a batch that was interrupted can be continued.
//
// The exported API is covered by the compatibility promise of the module, which
// package flexbuild states.
package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"

	"github.com/codebuild-flex/flexbuild/runner"
)

// Outcome is the outcome of one request.
type Outcome struct {
	Result *runner.Result // nil if no build was started or its end is not known
	Err    error          // as that of Client.Run; nil if there is an image
	Reused bool           // whether the image comes from an earlier run of the batch
}

// Option changes how [RunAll] works.
type Option func(*batch)

// DefaultParallel is how many builds of a batch run at the same time by
// default.
const DefaultParallel = 100

// WithParallel sets how many builds run at the same time at most. The default
// is [DefaultParallel]. CodeBuild has a quota of its own, above which builds
// wait in its queue. RunAll waits for room in a full queue.
func WithParallel(most int) Option { return func(b *batch) { b.parallel = most } }

// WithEvents calls see with the events of each request and its key. see is
// called from several goroutines at the same time, but for one request from one
// at a time.
func WithEvents(see func(key string, e runner.Event)) Option {
	return func(b *batch) { b.see = see }
}

// WithLogMode selects which logs are read. The default is [runner.LogFailures].
func WithLogMode(mode runner.LogMode) Option { return func(b *batch) { b.mode = mode } }

// WithRunID names the run, so that the same requests can be run again under the
// same name. Builds of an earlier run that succeeded are then not repeated, and
// those that still run are joined. Builds of the last 7 days are considered.
// Two processes may run one batch at the same time; each build is started once.
func WithRunID(id string) Option { return func(b *batch) { b.runID = id } }

// These are the Metadata keys of a batch's builds.
const (
	MetadataRun = "flexbuild.run" // the run id
	MetadataKey = "flexbuild.key" // the request's key
)

type batch struct {
	client   *runner.Client
	parallel int
	see      func(string, runner.Event)
	mode     runner.LogMode
	runID    string
	earlier  map[string]runner.Info // by key
}

type keyed struct {
	key string
	Outcome
}

// RunAll builds all requests and yields the outcome of each one as soon as it
// is known. Keys name the requests in the outcomes. The second request with a
// key is refused.
//
// If the caller leaves the loop or the context ends, RunAll starts no more
// builds, stops those that it started, and returns when they have ended. It
// still yields the outcomes of builds that were stopped because the context
// ended.
func RunAll(ctx context.Context, client *runner.Client, requests iter.Seq2[string, runner.Request], opts ...Option) iter.Seq2[string, Outcome] {
	return func(yield func(string, Outcome) bool) {
		b := &batch{client: client, parallel: DefaultParallel, see: func(string, runner.Event) {}, mode: runner.LogFailures}
		for _, opt := range opts {
			opt(b)
		}
		ctx, cancel := context.WithCancel(ctx)
		outcomes := make(chan keyed)
		go b.run(ctx, requests, outcomes)
		defer func() {
			cancel()
			for range outcomes { // until all have ended
			}
		}()
		for o := range outcomes {
			if !yield(o.key, o.Outcome) {
				return
			}
		}
	}
}

// run starts a goroutine for each request, as many at a time as allowed.
func (b *batch) run(ctx context.Context, requests iter.Seq2[string, runner.Request], outcomes chan<- keyed) {
	defer close(outcomes)
	var running sync.WaitGroup
	defer running.Wait()
	errFound := b.findEarlier(ctx)
	places := make(chan struct{}, max(1, b.parallel))
	seen := map[string]bool{}
	for key, request := range requests {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
		twice := seen[key]
		seen[key] = true
		running.Go(func() {
			defer func() { <-places }()
			o := keyed{key: key}
			switch {
			case errFound != nil:
				o.Err = errFound
			case twice:
				o.Err = fmt.Errorf("%w: two requests have the key %q: give each one of its own", runner.ErrInvalidRequest, key)
			default:
				o.Outcome = b.one(ctx, key, request)
			}
			outcomes <- o
		})
	}
}

// one builds one request, unless an earlier run has built it.
func (b *batch) one(ctx context.Context, key string, request runner.Request) Outcome {
	emit := func(e runner.Event) { b.see(key, e) }
	before, found := b.earlier[key]
	switch {
	case found && before.Err() == nil && before.Done():
		return Outcome{Result: &runner.Result{Info: before}, Reused: true}
	case found && !before.Done():
		result, err := b.join(ctx, before.BuildID, emit)
		return Outcome{Result: result, Err: err}
	}
	request.Metadata = maps.Clone(request.Metadata)
	if b.runID != "" {
		if request.Metadata == nil {
			request.Metadata = map[string]string{}
		}
		request.Metadata[MetadataRun], request.Metadata[MetadataKey] = b.runID, key
		request.IdempotencyToken = token(b.runID, key, before.BuildID)
	}
	result, err := b.client.Run(ctx, request, runner.WithEvents(emit), runner.WithLogMode(b.mode))
	return Outcome{Result: result, Err: err}
}

// token returns an idempotency token that is the same in every process that
// runs the batch, until the build has failed.
func token(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:])
}

// join waits for a build that an earlier run started. It leaves the build
// running if the context ends.
func (b *batch) join(ctx context.Context, id string, emit func(runner.Event)) (result *runner.Result, err error) {
	for event, err := range b.client.Build(id).Events(ctx, b.mode) {
		if err != nil {
			return nil, fmt.Errorf("build %s goes on: %w", id, err)
		}
		emit(event)
		switch event.Type {
		case runner.EventFinished:
			result = event.Result
		case runner.EventLogEnd:
			result.LogsComplete = event.LogsComplete
		}
	}
	if result == nil {
		return nil, errors.New("build " + id + ": its events ended early")
	}
	return result, result.Err()
}
