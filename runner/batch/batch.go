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
// The requests may be made while the first builds run: RunAll takes the next one
// when there is room for it. A build that fails ends nothing but itself.
//
// With [WithRunID], a batch that was interrupted goes on where it was.
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

// Outcome is what became of one request.
type Outcome struct {
	Result *runner.Result // nil if no build was started, or its end is not known
	Err    error          // as Run's; nil if there is an image
	Reused bool           // the image is of an earlier run of the batch
}

// Option changes how [RunAll] works.
type Option func(*batch)

// DefaultParallel is how many builds a batch has under way unless told otherwise.
const DefaultParallel = 100

// WithParallel bounds how many builds are under way at once; default 100. CodeBuild
// has a quota of its own: those above it wait in its queue, and the rest before it.
func WithParallel(most int) Option { return func(b *batch) { b.parallel = most } }

// WithEvents calls see for what happens to each request, with its key. It is called
// from many goroutines, but for one request from one at a time.
func WithEvents(see func(key string, e runner.Event)) Option {
	return func(b *batch) { b.see = see }
}

// WithLogMode says which logs are read; default [runner.LogFailures].
func WithLogMode(mode runner.LogMode) Option { return func(b *batch) { b.mode = mode } }

// WithRunID names the batch, so that the same requests can be run again under the
// same name: those whose build has succeeded are not built again, and those whose
// build still runs are joined. Builds of the last 7 days are looked for. Two
// processes may run one batch at the same time; each build is started once.
func WithRunID(id string) Option { return func(b *batch) { b.runID = id } }

// Keys of the Metadata that the builds of a batch carry.
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

// RunAll builds all requests and yields each one's outcome when it is known. Keys
// name the requests in the outcomes; the second request with a key is refused.
//
// When the loop is left, or the context ends, no more builds are started, those
// that were are stopped, and RunAll returns when they have ended. The outcomes of
// builds that were stopped because the context ended are still yielded.
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

// run starts a goroutine for each request, as many at once as may be.
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

// one builds one request, unless an earlier run has done it.
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

// token is the same in every process that runs the batch, until the build has
// failed.
func token(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:])
}

// join waits for a build that an earlier run has started, and leaves it running if
// the context ends.
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
