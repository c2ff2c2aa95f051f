package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// FS returns a source with the files of a file system, such as an embed.FS or
// an fstest.MapFS. The files are copied into a temporary directory and packed
// like those of a [Dir]: with modes, times and, if the file system supports
// them (fs.ReadLinkFS), symbolic links. A file without a time gets that of
// 1970.
func FS(files fs.FS) Source { return fsSource{files} }

type fsSource struct{ files fs.FS }

func (fsSource) String() string { return "files" }

func (s fsSource) prepare(dockerfile string) (prepared, error) {
	return prepareCopy(dockerfile, func(to *os.Root) error { return buildcontext.CopyFS(to, s.files) })
}

// Tar returns a source with the files of a tar archive, which may be compressed
// with gzip, as `docker build -` reads one. The archive is unpacked into a
// temporary directory and packed like a [Dir]. Names that lead out of the
// archive are refused, and devices are left out. r can be read only once, so
// use the source for one Start or Run. Run then makes one attempt.
func Tar(r io.Reader) Source { return &tarSource{r: r} }

type tarSource struct {
	r    io.Reader
	read atomic.Bool
}

func (*tarSource) String() string { return "tar archive" }

func (s *tarSource) prepare(dockerfile string) (prepared, error) {
	if s.read.Swap(true) {
		return prepared{}, invalid("source: this Tar has been read already: make another one, of an archive that is read from its start")
	}
	return prepareCopy(dockerfile, func(to *os.Root) error { return buildcontext.Untar(to, s.r) })
}

// prepareCopy fills a temporary directory that is removed when the source is
// closed.
func prepareCopy(dockerfile string, fill func(*os.Root) error) (p prepared, err error) {
	dir, err := os.MkdirTemp("", "flexbuild-source-*")
	if err != nil {
		return prepared{}, fmt.Errorf("copy the source: %w", err)
	}
	remove := func() { _ = os.RemoveAll(dir) } // what stays is in the temporary directory
	defer func() {
		if err != nil {
			remove()
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return prepared{}, fmt.Errorf("copy the source: %w", err)
	}
	if err := errors.Join(fill(root), root.Close()); err != nil {
		return prepared{}, cannotPack(err)
	}
	if p, err = Dir(dir).prepare(dockerfile); err != nil {
		return prepared{}, withoutDirectory(err, dir)
	}
	p.remove = remove
	return p, nil
}

// withoutDirectory removes the name of the temporary directory from an error,
// because the caller never saw it.
func withoutDirectory(err error, dir string) error {
	if !errors.Is(err, ErrInvalidRequest) {
		return err
	}
	text := strings.TrimPrefix(err.Error(), ErrInvalidRequest.Error()+": ")
	return invalid("%s", strings.ReplaceAll(text, strconv.Quote(dir), "its tree"))
}

// canBeRepeated reports whether the source can be read a second time.
func canBeRepeated(s Source) bool {
	_, once := s.(*tarSource)
	return !once
}
