package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A workFolder is the directory of a build. Its name is random, and only the
// engine's user can enter it.
type workFolder struct{ root string }

func newWorkFolder(dir string) (workFolder, error) {
	root, err := os.MkdirTemp(dir, "build-")
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(dir, 0o711) == nil { // who cleans folders of temporary files up may have removed it
		root, err = os.MkdirTemp(dir, "build-")
	}
	if err != nil {
		return workFolder{}, fmt.Errorf("create a work folder: %w", err)
	}
	w := workFolder{root: root}
	for _, sub := range []string{w.home(), w.temporary(), w.agent(), filepath.Join(w.root, "secondary")} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			return w, fmt.Errorf("create a work folder: %w", err)
		}
	}
	return w, nil
}

func (w workFolder) source() string             { return filepath.Join(w.root, "src") }
func (w workFolder) secondary(id string) string { return filepath.Join(w.root, "secondary", id) }
func (w workFolder) home() string               { return filepath.Join(w.root, "home") }
func (w workFolder) temporary() string          { return filepath.Join(w.root, "tmp") }
func (w workFolder) agent() string              { return filepath.Join(w.root, "agent") } // scripts, and what they save

// remove deletes the build's files, including read-only ones.
func (w workFolder) remove() error {
	if os.RemoveAll(w.root) == nil {
		return nil
	}
	// A build may have left folders that even their owner may not change.
	unlock := func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		if err != nil && path != w.root {
			return nil // RemoveAll reports what remains
		}
		return err
	}
	filepath.WalkDir(w.root, unlock)
	if err := os.RemoveAll(w.root); err != nil {
		return fmt.Errorf("remove a build's work folder: %w", err)
	}
	return nil
}
