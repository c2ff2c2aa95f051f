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
	started time.Time // when this client started it; zero if another one did
}

// Build returns a handle to the build with the given id: project:uuid, or the
// uuid alone for a build of the stack's project. Build calls nothing. If there
// is no such build, the handle's methods return [ErrBuildNotFound].
func (c *Client) Build(id string) *Build {
	if !strings.Contains(id, ":") {
		id = c.stack.ProjectName + ":" + id
	}
	return &Build{id: id, client: c}
}

// ID returns the build's id: project:uuid.
func (b *Build) ID() string { return b.id }

// grace returns how long CodeBuild may answer that it does not know the build
// before that is taken as the truth.
func (b *Build) grace() time.Duration {
	if b.started.IsZero() {
		return graceForeign
	}
	return graceStarted
}

func (b *Build) watch() *watch { return b.client.watcher.watch(b.id, b.grace(), b.started) }

// Info returns the build's present state.
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
