package codebuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// A storedBuild is a build as the store keeps it.
type storedBuild struct {
	Sequence  int64 // grows with each build of the account
	Build     types.Build
	Buildspec string `json:",omitempty"` // the SHA-256 of the build's buildspec, which is kept apart

	// Artifacts are the definitions of the build's artifacts, of which Build
	// has only the results.
	Artifacts []types.ProjectArtifacts `json:",omitempty"`
}

// maxRemembered is how many complete builds are kept in memory: some kilobytes
// each.
const maxRemembered = 1000

// A buildTable keeps builds by their id. A project's builds share their
// buildspec, which is most of a build: it is kept once, and read once. Complete
// builds, which nobody changes, are read once while there is room.
type buildTable struct {
	builds *store.Table[storedBuild]
	specs  *store.Table[string] // by SHA-256
	read   sync.Map             // *string by SHA-256: those that were read or written

	mu       sync.Mutex
	complete map[string]storedBuild // by id
}

func openBuilds(db *store.Store) (*buildTable, error) {
	builds, err := store.NewTable[storedBuild](db, "codebuild.builds")
	if err != nil {
		return nil, err
	}
	specs, err := store.NewTable[string](db, "codebuild.buildspecs")
	return &buildTable{builds: builds, specs: specs, complete: map[string]storedBuild{}}, err
}

func (t *buildTable) put(b storedBuild) error {
	if spec := aws.ToString(b.Build.Source.Buildspec); spec != "" {
		sum := sha256.Sum256([]byte(spec))
		b.Buildspec = hex.EncodeToString(sum[:])
		if err := t.keep(b.Buildspec, spec); err != nil {
			return err
		}
		source := *b.Build.Source
		source.Buildspec = nil
		b.Build.Source = &source
	}
	return t.builds.Put(*b.Build.Id, b)
}

func (t *buildTable) keep(sum, spec string) error {
	if _, known := t.read.Load(sum); known {
		return nil
	}
	if err := t.specs.Put(sum, spec); err != nil {
		return err
	}
	t.read.Store(sum, &spec)
	return nil
}

// get returns a build, which must not be changed.
func (t *buildTable) get(id string) (storedBuild, bool, error) {
	t.mu.Lock()
	b, found := t.complete[id]
	t.mu.Unlock()
	if found {
		return b, true, nil
	}
	b, found, err := t.builds.Get(id)
	if err != nil || !found {
		return b, found, err
	}
	if err := t.addBuildspec(&b); err != nil {
		return b, true, err
	}
	if b.Build.BuildComplete {
		t.remember(b)
	}
	return b, true, nil
}

func (t *buildTable) remember(b storedBuild) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.complete) == maxRemembered {
		clear(t.complete)
	}
	t.complete[*b.Build.Id] = b
}

// addBuildspec gives a build that was read its buildspec.
func (t *buildTable) addBuildspec(b *storedBuild) error {
	if b.Buildspec == "" {
		return nil
	}
	spec, known := t.read.Load(b.Buildspec)
	if !known {
		text, found, err := t.specs.Get(b.Buildspec)
		if err == nil && !found {
			err = fmt.Errorf("the buildspec of build %s is not in the state file", *b.Build.Id)
		}
		if err != nil {
			return err
		}
		spec, _ = t.read.LoadOrStore(b.Buildspec, &text)
	}
	b.Build.Source.Buildspec = spec.(*string)
	return nil
}

// all returns every build, by id.
func (t *buildTable) all() ([]storedBuild, error) {
	entries, err := t.builds.List("")
	if err != nil {
		return nil, err
	}
	builds := make([]storedBuild, len(entries))
	for i, e := range entries {
		builds[i] = e.Value
		if err := t.addBuildspec(&builds[i]); err != nil {
			return nil, err
		}
	}
	return builds, nil
}
