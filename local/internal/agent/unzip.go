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
	"slices"
	"strings"
)

// These are the limits of a ZIP file.
const (
	maxEntries  = 1_000_000
	maxUnpacked = 16 << 30  // bytes of all files
	maxLink     = 4096      // bytes of a link's target
	copyAtOnce  = 256 << 10 // bytes, between looks at the context
)

// unzip unpacks an archive into dir. It is unknown what CodeBuild's own does
// with more than names, content and permissions, so it does the worst: a
// symbolic link becomes a text file with its target, set-uid, set-gid and
// sticky bits are dropped, and the times are those of unpacking. With keepAll
// it keeps all three, as CodeBuild may do too.
//
// A link may point anywhere, as in a git repository; what matters is that no
// entry is written through one that leads out of dir, which os.Root sees to,
// and that no entry replaces another.
func unzip(ctx context.Context, archive io.ReaderAt, size int64, dir string, keepAll bool) error {
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
	u := &unpacking{ctx: ctx, root: root, left: maxUnpacked, keepAll: keepAll}
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
	keepAll bool     // links, times and special bits too
	folders []folder // whose modes and times are set at the end: files must be put into read-only ones too
}

type folder struct {
	name string
	file *zip.File
}

func (u *unpacking) unpack(file *zip.File) error {
	name := path.Clean(strings.TrimSuffix(file.Name, "/"))
	if !filepath.IsLocal(name) || strings.ContainsAny(file.Name, "\x00\\") {
		return errors.New("the path leads out of the source")
	}
	mode := file.Mode()
	if mode.IsDir() {
		u.folders = append(u.folders, folder{name, file})
		return u.root.MkdirAll(name, 0o700)
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch mode.Type() {
	case 0:
		return u.file(file, name)
	case fs.ModeSymlink:
		if u.keepAll {
			return u.link(file, name)
		}
		return u.file(file, name)
	}
	return fmt.Errorf("an entry of type %s is not supported", mode.Type())
}

func (u *unpacking) file(file *zip.File, name string) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	out, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(u.copy(out, content), out.Close()); err != nil {
		return err
	}
	return u.finish(file, name, 0)
}

// finish sets the kept part of an entry's mode, with the bits that it needs in
// addition, and its time.
func (u *unpacking) finish(file *zip.File, name string, needed fs.FileMode) error {
	if !u.keepAll {
		return u.root.Chmod(name, file.Mode().Perm()|needed)
	}
	special := file.Mode() & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	return errors.Join(u.root.Chmod(name, file.Mode().Perm()|special|needed), u.root.Chtimes(name, file.Modified, file.Modified))
}

// copy counts the bytes that are really written, because an archive's own
// numbers may be wrong.
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

// closeFolders finishes the folders, inner ones first. They stay readable,
// because an archive without modes has 0.
func (u *unpacking) closeFolders() error {
	for _, f := range slices.Backward(u.folders) {
		if err := u.finish(f.file, f.name, 0o500); err != nil {
			return err
		}
	}
	return nil
}
