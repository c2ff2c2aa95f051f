package runner

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Build is a handle to one build. It is safe for concurrent use.
type Build struct {
	id      string
	client  *Client
	started time.Time // when we started it; zero for a build that somebody else did
}

// Build returns a handle to the build with that id (project:uuid, or the uuid
// alone for a build of the stack's project). It does not look whether there is
// one: the handle's methods report [ErrBuildNotFound].
func (c *Client) Build(id string) *Build {
	if !strings.Contains(id, ":") {
		id = c.stack.ProjectName + ":" + id
	}
	return &Build{id: id, client: c}
}

// ID is the build's id: project:uuid.
func (b *Build) ID() string { return b.id }

// grace is how long the build may be not found.
func (b *Build) grace() time.Duration {
	if b.started.IsZero() {
		return graceForeign
	}
	return graceStarted
}

func (b *Build) watch() *watch { return b.client.watcher.watch(b.id, b.grace(), b.started) }

// Info returns the build's state now.
func (b *Build) Info(ctx context.Context) (Info, error) {
	grace := b.grace()
	if b.started.IsZero() {
		grace = graceNone // the caller asked whether there is one
	}
	m := b.client.watcher.watch(b.id, grace, b.started)
	defer m.leave()
	for {
		u, _, err := m.next(ctx, nil)
		if err != nil {
			return Info{}, fmt.Errorf("get the state of build %s: %w", b.id, err)
		}
		if u.err != nil {
			return Info{}, u.err
		}
		if u.trouble == nil {
			return *u.info, nil
		}
	}
}
