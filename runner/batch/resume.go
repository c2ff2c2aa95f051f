package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/codebuild-flex/flexbuild/runner"
)

// resumeAge is how old a build may be that belongs to the batch.
const resumeAge = 7 * 24 * time.Hour

// findEarlier looks for the builds of earlier runs, the latest of each key.
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

// remember prefers a build that succeeded, then the latest one.
func (b *batch) remember(info runner.Info) {
	key := info.Metadata[MetadataKey]
	before, found := b.earlier[key]
	succeeded := info.Done() && info.Err() == nil
	if !found || succeeded && before.Err() != nil {
		b.earlier[key] = info
	}
}
