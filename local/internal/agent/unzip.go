package agent

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of a ZIP file that is unpacked.
const (
	maxEntries  = 1_000_000
	maxUnpacked = 16 << 30  // bytes of all files
	maxLink     = 4096      // bytes of a link's target
	copyAtOnce  = 256 << 10 // bytes, between looks at the context
)

// unzip unpacks an archive into dir, with the modes and symbolic links that it has. A link may point anywhere, as in a
// git repository; what matters is that no entry is written through one that leads out of dir, which os.Root sees to, and
// that no entry replaces another.
func unzip(ctx context.Context, archive io.ReaderAt, size int64, dir string) error {
	reader, err := zip.NewReader(archive, size)
	if err != nil {
		return err
	}
	if n := len(reader.File); n > maxEntries {
		return fmt.Errorf("%d entries are more than %d", n, maxEntries)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacking{ctx: ctx, root: root, left: maxUnpacked}
	for _, file := range reader.File {
		if err := u.unpack(file); err != nil {
			return fmt.Errorf("%q: %w", file.Name, err)
		}
	}
	return u.closeFolders()
}

type unpacking struct {
	ctx     context.Context
	root    *os.Root
	left    int64    // bytes that may still be written
	folders []folder // whose modes are set at the end: files must be put into read-only ones too
}

type folder struct {
	name string
	mode fs.FileMode
}

func (u *unpacking) unpack(file *zip.File) error {
	name := path.Clean(strings.TrimSuffix(file.Name, "/"))
	if !filepath.IsLocal(name) || strings.ContainsAny(file.Name, "\x00\\") {
		return errors.New("the path leads out of the source")
	}
	mode := file.Mode()
	if mode.IsDir() {
		u.folders = append(u.folders, folder{name, mode.Perm()})
		return u.root.MkdirAll(name, 0o700)
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch mode.Type() {
	case 0:
		return u.file(file, name, mode.Perm())
	case fs.ModeSymlink:
		return u.link(file, name)
	}
	return fmt.Errorf("an entry of type %s is not supported", mode.Type())
}

func (u *unpacking) file(file *zip.File, name string, mode fs.FileMode) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	out, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := u.copy(out, content); err != nil {
		out.Close()
		return err
	}
	if err := out.Chmod(mode); err != nil { // after the umask
		out.Close()
		return err
	}
	return out.Close()
}

// copy counts what is really written: an archive's own numbers may lie.
func (u *unpacking) copy(out io.Writer, content io.Reader) error {
	for {
		if u.ctx.Err() != nil {
			return context.Cause(u.ctx)
		}
		n, err := io.CopyN(out, content, min(copyAtOnce, u.left+1))
		u.left -= n
		switch {
		case u.left < 0:
			return fmt.Errorf("the files have more than %d bytes", int64(maxUnpacked))
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func (u *unpacking) link(file *zip.File, name string) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	target, err := io.ReadAll(io.LimitReader(content, maxLink+1))
	if err != nil {
		return err
	}
	if len(target) > maxLink {
		return fmt.Errorf("the link's target has more than %d bytes", maxLink)
	}
	return u.root.Symlink(string(target), name)
}

// closeFolders sets the folders' modes. They stay readable, for an archive without modes says 0.
func (u *unpacking) closeFolders() error {
	for _, f := range u.folders {
		if err := u.root.Chmod(f.name, f.mode|0o500); err != nil {
			return err
		}
	}
	return nil
}
