package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/codebuild-flex/flexbuild/runner"
)

// stdin is the command's standard input. A build reads it once: as its source
// for `build -`, or as its Dockerfile for `--file -`.
type stdin struct {
	r   io.Reader
	dir string // temporary directory with the Dockerfile of --file -
}

// newStdin returns a stdin that reads from r until ctx ends.
func newStdin(ctx context.Context, r io.Reader) *stdin {
	return &stdin{r: &untilDone{ctx: ctx, r: r}}
}

// remove removes the copy of the Dockerfile.
func (s *stdin) remove() {
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // if that fails, the rest is in the temporary directory
	}
}

// source reads a tar archive, which may be compressed with gzip, or a
// Dockerfile that needs no context.
func (s *stdin) source(file string) (runner.Source, error) {
	if file == "-" {
		return nil, usagef("--file - with the source -: stdin cannot be both the Dockerfile and the source: name a file or a directory")
	}
	in := bufio.NewReaderSize(s.r, tarBlock)
	start, err := in.Peek(tarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read stdin: %w", err)
	}
	if isArchive(start) {
		return runner.Tar(in), nil
	}
	if file != "" {
		return nil, usagef("--file %q: stdin is a Dockerfile, not a tar archive: leave --file out, or pipe an archive into the command", file)
	}
	text, err := readDockerfile(in)
	if err != nil {
		return nil, err
	}
	archive, err := archiveOf("Dockerfile", text)
	return runner.Tar(archive), err
}

// dockerfile returns the name of a file with the Dockerfile that stdin holds.
func (s *stdin) dockerfile() (string, error) {
	text, err := readDockerfile(s.r)
	if err != nil {
		return "", err
	}
	if s.dir, err = os.MkdirTemp("", "flexbuild-dockerfile-*"); err != nil {
		return "", err
	}
	name := filepath.Join(s.dir, "Dockerfile")
	return name, os.WriteFile(name, text, 0o600)
}

// tarBlock is the size of a tar archive's header, in bytes.
const tarBlock = 512

func isArchive(start []byte) bool {
	gzipped := bytes.HasPrefix(start, []byte{0x1f, 0x8b})
	_, err := tar.NewReader(bytes.NewReader(start)).Next()
	return gzipped || err == nil
}

// maxDockerfile is the maximum size of a Dockerfile in bytes. A larger text is
// something else.
const maxDockerfile = 16 << 20

func readDockerfile(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDockerfile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read stdin: %w", err)
	case len(text) > maxDockerfile:
		return nil, usagef("stdin is neither a tar archive nor a Dockerfile: it has more than %d bytes", maxDockerfile)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, usagef("stdin is empty: pipe a Dockerfile or a tar archive into the command")
	}
	return text, nil
}

// archiveOf returns a tar archive of one file.
func archiveOf(name string, text []byte) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write(text)
	}
	return &archive, errors.Join(err, w.Close())
}

// untilDone is a reader whose reads end with ctx. Those of r may block for
// ever, for example on a terminal.
type untilDone struct {
	ctx context.Context
	r   io.Reader
	out *io.PipeReader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.out == nil {
		out, in := io.Pipe()
		u.out = out
		context.AfterFunc(u.ctx, func() { in.CloseWithError(u.ctx.Err()) })
		go func() {
			_, err := io.Copy(in, u.r)
			in.CloseWithError(err)
		}()
	}
	return u.out.Read(p)
}
