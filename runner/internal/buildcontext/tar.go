package buildcontext

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

const (
	tarBlock  = 512           // the unit of a tar, in bytes
	largeFile = 1 << 20       // a file of more bytes than this is packed in sections
	tooLarge  = 4 * largeFile // a file of more bytes, which was not large when it was scanned, is not read
)

// zeros end a tar and fill its blocks.
var zeros [2 * tarBlock]byte

// section is a part of a large file's content.
type section struct {
	entry        entry
	offset, size int64
}

// size returns the number of bytes of the entry's content.
func (e entry) size() int64 {
	if e.first != "" || !e.mode.IsRegular() {
		return 0
	}
	return e.bytes
}

func (e entry) isLarge() bool { return e.size() > largeFile }

// reader reads the files of a tree. It keeps the directory of the last file
// open, because the next file is nearly always in the same directory, and a
// path through many directories costs more than reading a small file. Close it.
type reader struct {
	tree *Tree
	dir  string   // relative to the context
	root *os.Root // the directory dir
}

func newReader(t *Tree) *reader { return &reader{tree: t, dir: ".", root: t.context.root} }

// write writes the part's entries or section.
func (r *reader) write(p *part) error {
	for _, e := range p.entries {
		if err := r.writeEntry(p, e); err != nil {
			return err
		}
	}
	if p.section != nil {
		return r.writeSection(&p.tar, *p.section)
	}
	if p.last {
		p.tar.Write(zeros[:])
	}
	return nil
}

// writeEntry writes an entry, unless it was deleted since the scan. Of a large
// file it writes only the header, with a writer that is not used again, because
// the writer would expect the content.
func (r *reader) writeEntry(p *part, e entry) error {
	switch kind := e.mode.Type(); {
	case e.first != "":
		return writeHeader(p.archive, e, tar.TypeLink, e.first, 0)
	case e.isLarge():
		return writeHeader(tar.NewWriter(&p.tar), e, tar.TypeReg, "", e.size())
	case kind == 0:
		return e.gone(r.writeFile(p, e))
	case kind == fs.ModeDir:
		return writeHeader(p.archive, e, tar.TypeDir, "", 0)
	case kind == fs.ModeSymlink:
		target, err := r.tree.context.root.Readlink(filepath.FromSlash(e.path))
		if err != nil {
			return e.gone(err)
		}
		return writeHeader(p.archive, e, tar.TypeSymlink, target, 0)
	case kind == fs.ModeNamedPipe:
		return writeHeader(p.archive, e, tar.TypeFifo, "", 0)
	default:
		return fmt.Errorf("%q: a file of type %v cannot be packed", e.path, kind)
	}
}

// gone returns nil if the entry was deleted since the scan, unless other
// entries are hard links to it.
func (e entry) gone(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if e.shared {
		return changed(e.path)
	}
	return nil
}

// writeFile writes a file with the size and metadata that it has when it is
// opened.
func (r *reader) writeFile(p *part, e entry) error {
	file, err := r.open(e)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	e = newEntry(e.path, e.name, info)
	if !e.mode.IsRegular() || e.bytes > tooLarge {
		return changed(e.path)
	}
	if err := writeHeader(p.archive, e, tar.TypeReg, "", e.bytes); err != nil {
		return err
	}
	text, err := readContent(&p.tar, e, file, e.bytes)
	if err != nil {
		return err
	}
	_, err = p.archive.Write(text)
	return errors.Join(err, p.archive.Flush())
}

// writeSection writes a section. It fails if the file has become shorter since
// the scan, and ignores what was appended since.
func (r *reader) writeSection(w *bytes.Buffer, s section) error {
	file, err := r.open(s.entry)
	if errors.Is(err, fs.ErrNotExist) {
		return changed(s.entry.path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := readContent(w, s.entry, io.NewSectionReader(file, s.offset, s.size), s.size)
	if err != nil {
		return err
	}
	w.Write(text)
	w.Write(zeros[:-s.size&(tarBlock-1)]) // only the last one needs any
	return nil
}

// open opens an entry without following links, except for a Dockerfile outside
// of the context.
func (r *reader) open(e entry) (file *os.File, err error) {
	if filepath.IsAbs(e.path) {
		file, err = os.Open(e.path)
	} else if err = r.enter(path.Dir(e.path)); err == nil {
		file, err = r.root.OpenFile(path.Base(e.path), os.O_RDONLY|nonBlocking, 0)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, cannotRead(e.path, err)
	}
	return file, err
}

// enter makes dir the directory that is kept open.
func (r *reader) enter(dir string) error {
	if dir == r.dir {
		return nil
	}
	root, err := r.tree.context.root.OpenRoot(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	r.close()
	r.dir, r.root = dir, root
	return nil
}

func (r *reader) close() {
	if r.root != r.tree.context.root {
		r.root.Close()
	}
}

// readContent reads size bytes directly into the free space of w, so that
// nothing is copied.
func readContent(w *bytes.Buffer, e entry, content io.Reader, size int64) ([]byte, error) {
	w.Grow(int(size) + tarBlock)
	text := w.AvailableBuffer()[:size]
	_, err := io.ReadFull(content, text)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, changed(e.path)
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", e.path, err)
	}
	return text, nil
}

// writeHeader writes the entry's header. It is a PAX header, which can have
// times in nanoseconds and names of any bytes, and has the owner that docker
// gives to files.
func writeHeader(w *tar.Writer, e entry, kind byte, link string, size int64) error {
	h := &tar.Header{
		Typeflag: kind, Name: e.name, Linkname: link, Size: size,
		Mode: modeBits(e.mode), ModTime: e.modTime, Format: tar.FormatPAX,
	}
	if kind == tar.TypeDir {
		h.Name += "/"
	}
	if err := w.WriteHeader(h); err != nil {
		return &ContentError{fmt.Errorf("%q cannot be packed: %w", e.path, err)}
	}
	return nil
}

// specialBits are those of chmod.
var specialBits = []struct {
	mode fs.FileMode
	bit  int64
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}

// modeBits returns the permissions with the special bits, as chmod has them.
func modeBits(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	for _, special := range specialBits {
		if mode&special.mode != 0 {
			bits |= special.bit
		}
	}
	return bits
}

func changed(name string) error {
	return &ContentError{fmt.Errorf("%q changed while it was packed: build again when nothing writes to it, or name it in %s", name, ignoreFile)}
}
