package ecr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// digestName is the form of the only digests that ECR takes.
var digestName = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// A layerStore keeps the bytes of layers and configs (blobs, in the protocol's
// words): files named by their digest, shared by all repositories, and a table
// of which repository has which. The files are not synced to the disk, for the
// reason given in package store.
type layerStore struct {
	dir   string
	sizes *store.Table[int64] // by name@digest

	mu      sync.Mutex
	uploads map[string]*upload // those under way, by id
}

// openLayers opens the store in dir, and drops the uploads that the last
// process left unfinished.
func openLayers(db *store.Store, dir string) (*layerStore, error) {
	l := &layerStore{dir: dir, uploads: map[string]*upload{}}
	if err := store.OpenTable(db, "ecr.layers", &l.sizes); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, "uploads")); err != nil {
		return nil, fmt.Errorf("drop unfinished uploads: %w", err)
	}
	if err := makeDirs(dir, "uploads", "sha256"); err != nil {
		return nil, fmt.Errorf("create the registry's folders: %w", err)
	}
	return l, nil
}

func (l *layerStore) path(digest string) string {
	return filepath.Join(l.dir, "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// stat returns the size of a repository's layer in bytes, and whether it has
// that layer.
func (l *layerStore) stat(repository, digest string) (int64, bool, error) {
	return l.sizes.Get(repository + "@" + digest)
}

// open opens a repository's layer; found is false when it has no such layer.
func (l *layerStore) open(repository, digest string) (file *os.File, found bool, err error) {
	if _, found, err := l.stat(repository, digest); err != nil || !found {
		return nil, false, err
	}
	file, err = os.Open(l.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return file, err == nil, err
}

// forget makes a repository have no layers.
func (l *layerStore) forget(repository string) error {
	entries, err := l.sizes.List(repository + "@")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.sizes.Delete(e.Key); err != nil {
			return err
		}
	}
	return nil
}

// keepOnly removes every layer but the used ones, whose keys are name@digest.
func (l *layerStore) keepOnly(used map[string]bool) error {
	entries, err := l.sizes.List("")
	if err != nil {
		return err
	}
	files := map[string]bool{}
	for _, e := range entries {
		if _, digest, _ := strings.Cut(e.Key, "@"); used[e.Key] {
			files[filepath.Base(l.path(digest))] = true
			continue
		}
		if err := l.sizes.Delete(e.Key); err != nil {
			return err
		}
	}
	return removeOthers(filepath.Join(l.dir, "sha256"), files)
}

func removeOthers(dir string, keep map[string]bool) error {
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range present {
		if keep[f.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
