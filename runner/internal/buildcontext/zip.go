package buildcontext

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Summary says what was packed.
type Summary struct {
	Files   int      // files and symbolic links
	Bytes   int64    // their size, before compression
	Skipped []string // sockets, pipes and devices, which an archive cannot carry
}

// ContentError is something in the directory that cannot be packed, and that
// whoever owns it has to change.
type ContentError struct{ err error }

func (e *ContentError) Error() string { return e.err.Error() }
func (e *ContentError) Unwrap() error { return e.err }

// WriteZip writes the archive. The same tree gives the same bytes. A file that
// grows meanwhile is cut at the size it had when it was opened, one that
// disappears is left out. What cannot be packed is a [ContentError].
func (c *Context) WriteZip(ctx context.Context, w io.Writer) (Summary, error) {
	entries, skipped, err := c.scan(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("build context %q: %w", c.path, err)
	}
	out := newArchive(w)
	for _, e := range entries {
		if err := c.pack(ctx, out, e); err != nil {
			return Summary{}, fmt.Errorf("build context %q: %w", c.path, err)
		}
	}
	if err := c.packOutside(out); err != nil {
		return Summary{}, fmt.Errorf("pack the Dockerfile %q: %w", c.outside, err)
	}
	out.summary.Skipped = skipped
	return out.summary, out.zip.Close()
}

func (c *Context) pack(ctx context.Context, out *archive, e entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := path.Join(c.Dir, e.path)
	switch {
	case e.info.IsDir():
		return out.directory(name, e.info)
	case e.info.Mode()&fs.ModeSymlink != 0:
		target, err := c.root.Readlink(filepath.FromSlash(e.path))
		if err != nil {
			return ignoreGone(err)
		}
		return out.link(name, e.info, target)
	}
	file, err := c.root.Open(filepath.FromSlash(e.path))
	if errors.Is(err, fs.ErrPermission) {
		return cannotRead(e.path, err)
	}
	if err != nil {
		return ignoreGone(err)
	}
	defer file.Close()
	if err := out.file(name, file); err != nil {
		return fmt.Errorf("%q: %w", e.path, err)
	}
	return nil
}

// packOutside adds a Dockerfile from outside of the context, with its ignore
// file.
func (c *Context) packOutside(out *archive) error {
	if c.outside == "" {
		return nil
	}
	for _, name := range []string{c.outside, c.outside + ignoreSuffix} {
		if err := packFile(out, path.Join(dockerfileFolder, filepath.Base(name)), name); err != nil {
			return err
		}
	}
	return nil
}

func packFile(out *archive, name, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return ignoreGone(err)
	}
	defer file.Close()
	return out.file(name, file)
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// archive writes a zip archive and counts.
type archive struct {
	zip        *zip.Writer
	compressor *flate.Writer
	summary    Summary
}

func newArchive(w io.Writer) *archive {
	a := &archive{zip: zip.NewWriter(w)}
	a.zip.RegisterCompressor(zip.Deflate, a.deflate)
	return a
}

// deflate compresses fast, since a context is written once and read once, and
// with one compressor for all files: each takes a megabyte, and files come one
// after the other.
func (a *archive) deflate(w io.Writer) (_ io.WriteCloser, err error) {
	if a.compressor == nil {
		a.compressor, err = flate.NewWriter(w, flate.BestSpeed)
		return a.compressor, err
	}
	a.compressor.Reset(w)
	return a.compressor, nil
}

func (a *archive) directory(name string, info fs.FileInfo) error {
	_, err := a.zip.CreateHeader(header(name+"/", info, zip.Store))
	return err
}

func (a *archive) link(name string, info fs.FileInfo, target string) error {
	w, err := a.zip.CreateHeader(header(name, info, zip.Store))
	if err != nil {
		return err
	}
	a.summary.Files++
	_, err = io.WriteString(w, target)
	return err
}

func (a *archive) file(name string, file fs.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it changed into something else while it was read: try again")
	}
	w, err := a.zip.CreateHeader(header(name, info, zip.Deflate))
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(file, info.Size()))
	a.summary.Files++
	a.summary.Bytes += n
	return err
}

func header(name string, info fs.FileInfo, method uint16) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: method, Modified: info.ModTime().UTC()}
	h.SetMode(info.Mode())
	return h
}
