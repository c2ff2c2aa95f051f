package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
)

// resumeAge is the age up to which builds of an earlier run are considered.
const resumeAge = 7 * 24 * time.Hour

// findEarlier finds the builds of earlier runs and records the best one for
// each key.
func (b *batch) findEarlier(ctx context.Context) error {
	if b.runID == "" {
		return nil
	}
	b.earlier = map[string]runner.Info{}
	now := time.Time{} // by the service, near enough: when its latest build started
	for info, err := range b.client.List(ctx) {
		if err != nil {
			return fmt.Errorf("find the builds of run %q: %w", b.runID, err)
		}
		if now.IsZero() {
			now = info.Started
		}
		if now.Sub(info.Started) > resumeAge {
			return nil
		}
		if info.Metadata[MetadataRun] == b.runID {
			b.remember(info)
		}
	}
	return nil
}

// remember records a build for its key. A build that succeeded is better than
// another one, and otherwise the latest one is.
func (b *batch) remember(info runner.Info) {
	key := info.Metadata[MetadataKey]
	before, found := b.earlier[key]
	succeeded := info.Done() && info.Err() == nil
	if !found || succeeded && before.Err() != nil {
		b.earlier[key] = info
	}
}
