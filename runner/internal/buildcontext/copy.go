package buildcontext

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// copier fills a directory. Nothing that it writes can get out of the root.
type copier struct {
	root *os.Root
	dirs []entryTime // their times are set last, because writing into a directory changes its time
}

type entryTime struct {
	name string
	mode fs.FileMode
	time time.Time
}

// CopyFS copies the files of a file system.
func CopyFS(to *os.Root, files fs.FS) error {
	c := &copier{root: to}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return c.copyEntry(files, name, info)
	})
	return errors.Join(err, c.finish())
}

func (c *copier) copyEntry(files fs.FS, name string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return c.dir(name, mode, timeOf(info))
	case mode&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(files, name)
		if err != nil {
			return err
		}
		return c.link(name, target, timeOf(info))
	case mode.IsRegular():
		file, err := files.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return c.file(name, file, mode, timeOf(info))
	}
	return nil // devices are left out
}

// timeOf returns the time of a file, or the same fixed time on every machine if
// it has none.
func timeOf(info fs.FileInfo) time.Time {
	if info.ModTime().IsZero() {
		return time.Unix(0, 0)
	}
	return info.ModTime()
}

// Untar unpacks an archive, which may be compressed with gzip.
func Untar(to *os.Root, r io.Reader) error {
	archive, err := decompress(r)
	if err != nil {
		return contentError(fmt.Errorf("the archive: %w", err))
	}
	c := &copier{root: to}
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return c.finish()
		}
		if err != nil {
			return contentError(fmt.Errorf("the tar archive: %w", err))
		}
		if err := c.untarEntry(header, reader); err != nil {
			return err
		}
	}
}

func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(buffered)
	}
	return buffered, nil
}

func (c *copier) untarEntry(h *tar.Header, content io.Reader) error {
	name, err := localName(h.Name)
	if err != nil {
		return err
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return c.dir(name, mode, h.ModTime)
	case tar.TypeReg:
		return c.file(name, content, mode, h.ModTime)
	case tar.TypeSymlink:
		return c.link(name, h.Linkname, h.ModTime)
	case tar.TypeLink:
		target, err := localName(h.Linkname)
		if err != nil {
			return err
		}
		return c.hardLink(name, target)
	}
	return nil // devices and pipes are left out
}

// localName returns a name of an archive as a relative one. Like tar, it
// removes the slash of an absolute name.
func localName(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if !fs.ValidPath(clean) {
		return "", contentError(fmt.Errorf("the tar archive has the name %q, which leads out of it", name))
	}
	return clean, nil
}

func contentError(err error) error { return &ContentError{err} }

func (c *copier) dir(name string, mode fs.FileMode, at time.Time) error {
	if err := c.root.MkdirAll(name, 0o700); err != nil {
		return c.explain(name, err)
	}
	c.dirs = append(c.dirs, entryTime{name, mode, at})
	return nil
}

// parent creates the parent directories of an entry and removes an earlier
// entry of the same name.
func (c *copier) parent(name string) error {
	if err := c.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return c.explain(name, err)
	}
	if err := c.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.explain(name, err)
	}
	return nil
}

func (c *copier) file(name string, content io.Reader, mode fs.FileMode, at time.Time) error {
	if err := c.parent(name); err != nil {
		return err
	}
	file, err := c.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return c.explain(name, err)
	}
	_, err = io.Copy(file, content)
	if err := errors.Join(err, file.Close()); err != nil {
		return c.explain(name, err)
	}
	return c.explain(name, errors.Join(c.root.Chmod(name, mode), c.root.Chtimes(name, at, at)))
}

func (c *copier) link(name, target string, at time.Time) error {
	if err := c.parent(name); err != nil {
		return err
	}
	return c.explain(name, errors.Join(c.root.Symlink(target, name), setLinkTime(c.root, name, at)))
}

func (c *copier) hardLink(name, target string) error {
	if err := c.parent(name); err != nil {
		return err
	}
	return c.explain(name, c.root.Link(target, name))
}

// finish sets the modes and times of directories, the deepest first.
func (c *copier) finish() error {
	for _, d := range slices.Backward(c.dirs) {
		if err := errors.Join(c.root.Chtimes(d.name, d.time, d.time), c.root.Chmod(d.name, d.mode)); err != nil {
			return c.explain(d.name, err)
		}
	}
	return nil
}

// explain distinguishes mistakes of the source from failures of the machine.
func (c *copier) explain(name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%q: %w", name, err)
	if errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "path escapes") || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return contentError(err)
	}
	return err
}
