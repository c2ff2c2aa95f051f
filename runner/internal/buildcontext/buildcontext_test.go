package buildcontext_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// tree makes files from name → content in a new directory. A name that ends in
// a slash is a directory, a content that starts with "-> " a symbolic link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		plant(t, dir, name, content)
	}
	return dir
}

func plant(t testing.TB, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		must(t, os.MkdirAll(full, 0o755))
		return
	}
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		must(t, os.Symlink(target, full))
		return
	}
	must(t, os.WriteFile(full, []byte(content), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// packed is an entry of an archive with its content.
type packed struct {
	*tar.Header
	content string
}

// pack returns the archive's entries in order.
func pack(t testing.TB, dir, dockerfile string) ([]packed, *buildcontext.Context, *buildcontext.Tree) {
	t.Helper()
	c := open(t, dir, dockerfile)
	tree, err := c.Scan(t.Context())
	must(t, err)
	file, _ := writeZip(t, tree)
	return unpack(t, file), c, tree
}

func open(t testing.TB, dir, dockerfile string) *buildcontext.Context {
	t.Helper()
	c, err := buildcontext.Open(dir, dockerfile)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func newFile(t testing.TB) *os.File {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

func noProgress(int) {}

func writeZip(t testing.TB, tree *buildcontext.Tree) (file *os.File, digest string) {
	t.Helper()
	file = newFile(t)
	digest, err := tree.WriteZip(t.Context(), file, noProgress)
	must(t, err)
	return file, digest
}

// unzip returns the one stored entry.
func unzip(t testing.TB, file *os.File) []byte {
	t.Helper()
	r, err := zip.OpenReader(file.Name())
	must(t, err)
	defer r.Close()
	if len(r.File) != 1 || r.File[0].Name != "source.tar.gz" || r.File[0].Method != zip.Store {
		t.Fatalf("the zip has %d entries, the first %+v", len(r.File), r.File[0])
	}
	content, err := r.File[0].Open()
	must(t, err)
	text, err := io.ReadAll(content) // which checks size and checksum
	must(t, err)
	return text
}

func unpack(t testing.TB, file *os.File) (entries []packed) {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(unzip(t, file)))
	must(t, err)
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return entries
		}
		must(t, err)
		text, err := io.ReadAll(archive)
		must(t, err)
		entries = append(entries, packed{h, string(text)})
	}
}

func names(entries []packed) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func TestArchiveHoldsWhatDockerWouldSend(t *testing.T) {
	for _, test := range []struct {
		name       string
		files      map[string]string
		dockerfile string
		want       []string
	}{
		{
			"everything without an ignore file, empty directories too",
			map[string]string{"Dockerfile": "", "a/b.txt": "", "empty/": "", ".hidden": ""}, "",
			[]string{".hidden", "Dockerfile", "a/", "a/b.txt", "empty/"},
		},
		{
			"the ignore file's patterns",
			map[string]string{"Dockerfile": "", ".dockerignore": "# comment\n*.log\n/node_modules\n**/tmp\n", "x.log": "", "a/x.log": "", "node_modules/m/i.js": "", "a/tmp/f": "", "main.go": ""}, "",
			[]string{".dockerignore", "Dockerfile", "a/", "a/x.log", "main.go"},
		},
		{
			"exceptions, with the parents they need",
			map[string]string{"Dockerfile": "", ".dockerignore": "*\n!src/keep\n", "src/keep/f": "", "src/drop/f": "", "other": ""}, "",
			[]string{".dockerignore", "Dockerfile", "src/", "src/keep/", "src/keep/f"},
		},
		{
			"the Dockerfile and the ignore files, even if ignored",
			map[string]string{"build/Dockerfile": "", "build/x": "", ".dockerignore": "**", "a": ""}, "build/Dockerfile",
			[]string{".dockerignore", "build/", "build/Dockerfile"},
		},
		{
			"the Dockerfile's own ignore file goes first",
			map[string]string{"api.Dockerfile": "", "api.Dockerfile.dockerignore": "b", ".dockerignore": "a", "a": "", "b": ""}, "api.Dockerfile",
			[]string{".dockerignore", "a", "api.Dockerfile", "api.Dockerfile.dockerignore"},
		},
		{
			"an empty own ignore file replaces the context's",
			map[string]string{"Dockerfile": "", "Dockerfile.dockerignore": "", ".dockerignore": "a", "a": ""}, "",
			[]string{".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "a"},
		},
		{
			"what an ignored Dockerfile that is a link leads to",
			map[string]string{"Dockerfile": "-> docker/prod", "docker/prod": "", "docker/dev": "", ".dockerignore": "*"}, "",
			[]string{".dockerignore", "Dockerfile", "docker/", "docker/prod"},
		},
		{
			"a dockerfile in lower case",
			map[string]string{"dockerfile": "", "x": ""}, "",
			[]string{"dockerfile", "x"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, _, _ := pack(t, tree(t, test.files), test.dockerfile)
			if diff := cmp.Diff(test.want, names(files)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEverythingIsKept(t *testing.T) {
	dir := tree(t, map[string]string{
		"Dockerfile": "FROM scratch", "run.sh": "#!/bin/sh", "link": "-> run.sh", "out": "-> /etc/passwd", "dangling": "-> \xff\\", "d/": "",
		"caf\xe9": "latin", `ba\ck`: "slash", "new\nline": "", strings.Repeat("long/", 60) + "name": "deep", "large": strings.Repeat("x", 3<<20+1),
	})
	must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o750|fs.ModeSetuid|fs.ModeSetgid))
	must(t, os.Chmod(filepath.Join(dir, "d"), 0o700|fs.ModeSticky))
	must(t, os.Link(filepath.Join(dir, "run.sh"), filepath.Join(dir, "d", "hard")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o640))
	when := time.Date(2021, 5, 6, 7, 8, 9, 123456789, time.UTC)
	must(t, os.Chtimes(filepath.Join(dir, "run.sh"), when, when))
	entries, _, summary := pack(t, dir, "")
	got := map[string]packed{}
	for _, e := range entries {
		got[e.Name] = e
		if e.Uid != 0 || e.Gid != 0 || e.Uname != "" || e.Gname != "" {
			t.Errorf("%s has an owner: %+v", e.Name, e.Header)
		}
	}
	if e := got["d/hard"]; e.Typeflag != tar.TypeReg || e.Mode != 0o6750 || !e.ModTime.Equal(when) || e.content != "#!/bin/sh" {
		t.Errorf("the first name of a file: %+v", e)
	}
	if e := got["run.sh"]; e.Typeflag != tar.TypeLink || e.Linkname != "d/hard" {
		t.Errorf("the second name of a file: %+v", e.Header)
	}
	if e := got["d/"]; e.Typeflag != tar.TypeDir || e.Mode != 0o1700 {
		t.Errorf("the directory: %+v", e.Header)
	}
	if e := got["pipe"]; e.Typeflag != tar.TypeFifo {
		t.Errorf("the pipe: %+v", e.Header)
	}
	for name, target := range map[string]string{"link": "run.sh", "out": "/etc/passwd", "dangling": "\xff\\"} {
		if e := got[name]; e.Typeflag != tar.TypeSymlink || e.Linkname != target {
			t.Errorf("%s: %+v", name, e.Header)
		}
	}
	for name, text := range map[string]string{"caf\xe9": "latin", `ba\ck`: "slash", "new\nline": "", strings.Repeat("long/", 60) + "name": "deep", "large": strings.Repeat("x", 3<<20+1)} {
		if e := got[name]; e.Header == nil || e.content != text {
			t.Errorf("%q did not arrive, or with another content", name)
		}
	}
	want := int64(len("FROM scratch") + len("#!/bin/sh") + len("latin") + len("slash") + len("deep") + 3<<20 + 1)
	if summary.Files != 12 || summary.Bytes != want {
		t.Errorf("%d files of %d bytes, want 12 of %d", summary.Files, summary.Bytes, want)
	}
}

// The digest is of the tar, whoever unpacks it, and the same before and while
// the tree is packed, on any number of cores.
func TestSameTreeGivesSameBytesAndTheirDigest(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM scratch", "z": "-> a", "large": strings.Repeat("0123456789", 5<<17)}
	for i := range 1000 {
		files[fmt.Sprintf("a/%d/f", i)] = strings.Repeat("text", i)
	}
	dir := tree(t, files)
	var archives [][]byte
	digests := map[string]bool{}
	for _, cores := range []int{1, 2, 7} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		tree, err := open(t, dir, "").Scan(t.Context())
		must(t, err)
		var bytesRead int
		before, err := tree.Digest(t.Context(), func(n int) { bytesRead += n })
		must(t, err)
		file, digest := writeZip(t, tree)
		archive, err := os.ReadFile(file.Name())
		must(t, err)
		archives = append(archives, archive)
		digests[before], digests[digest] = true, true
		unpacked := exec.Command("sh", "-c", "gzip -dc | sha256sum")
		unpacked.Stdin = bytes.NewReader(unzip(t, file))
		sum, err := unpacked.Output()
		must(t, err)
		digests[strings.Fields(string(sum))[0]] = true
		if int64(bytesRead) < tree.Bytes {
			t.Errorf("the progress ends at %d of %d bytes", bytesRead, tree.Bytes)
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests %v, want one", digests)
	}
	if !bytes.Equal(archives[0], archives[1]) || !bytes.Equal(archives[0], archives[2]) {
		t.Error("archives of one tree differ")
	}
}

// What a stranger's unzip does with the file is checked with the machine's own.
func TestOtherProgramsReadTheArchive(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch", "caf\xe9": "latin", `ba\ck`: ""})
	scanned, err := open(t, dir, "").Scan(t.Context())
	must(t, err)
	file, _ := writeZip(t, scanned)
	out := t.TempDir()
	text, err := exec.Command("python3", "-c", `import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None
    z.extractall(sys.argv[2])`, file.Name(), out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	must(t, exec.Command("tar", "-xzpf", out+"/source.tar.gz", "-C", out).Run())
	for name, want := range map[string]string{"Dockerfile": "FROM scratch", "caf\xe9": "latin", `ba\ck`: ""} {
		if text, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(text) != want {
			t.Errorf("%q: %q, %v", name, text, err)
		}
	}
}

func TestDockerfileOutsideOfTheContext(t *testing.T) {
	dir := tree(t, map[string]string{"app/main.go": "", "app/secret": "", "docker/Dockerfile": "FROM scratch", "docker/Dockerfile.dockerignore": "secret"})
	for _, dockerfile := range []string{"../docker/Dockerfile", filepath.Join(dir, "docker/Dockerfile")} {
		files, c, _ := pack(t, filepath.Join(dir, "app"), dockerfile)
		want := []string{"context/", "context/main.go", "dockerfile/Dockerfile", "dockerfile/Dockerfile.dockerignore"}
		if diff := cmp.Diff(want, names(files)); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", dockerfile, diff)
		}
		if c.Dir != "context" || c.Dockerfile != "../dockerfile/Dockerfile" {
			t.Errorf("%s: Dir %q Dockerfile %q", dockerfile, c.Dir, c.Dockerfile)
		}
	}
}

func TestAbsoluteDockerfileInsideThroughALink(t *testing.T) {
	dir := tree(t, map[string]string{"real/sub/Dockerfile": "", "link": "-> real"})
	_, c, _ := pack(t, filepath.Join(dir, "link"), filepath.Join(dir, "real/sub/Dockerfile"))
	if c.Dir != "" || c.Dockerfile != "sub/Dockerfile" {
		t.Errorf("Dir %q Dockerfile %q", c.Dir, c.Dockerfile)
	}
}

// As for docker, what counts is the directory that the name leads to.
func TestDockerfileThroughALinkedDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"app/main.go": "", "app/sub/Dockerfile": "", "docker/Dockerfile": "", "docker/Dockerfile.dockerignore": "main.go"})
	must(t, os.Symlink("../docker", filepath.Join(dir, "app/out")))
	must(t, os.Symlink("sub", filepath.Join(dir, "app/in")))
	must(t, os.Symlink(filepath.Join(dir, "app/sub"), filepath.Join(dir, "app/absolute")))
	for dockerfile, want := range map[string]string{
		"out/Dockerfile": "../dockerfile/Dockerfile", "in/Dockerfile": "in/Dockerfile", "absolute/Dockerfile": "sub/Dockerfile",
		filepath.Join(dir, "app/out/Dockerfile"): "../dockerfile/Dockerfile",
	} {
		files, c, _ := pack(t, filepath.Join(dir, "app"), dockerfile)
		if c.Dockerfile != want || (c.Dir == "context") != strings.HasPrefix(want, "../") {
			t.Errorf("%s: Dir %q Dockerfile %q, want %q", dockerfile, c.Dir, c.Dockerfile, want)
		}
		if got := slices.Contains(names(files), "context/main.go"); got {
			t.Errorf("%s: its ignore file is not used: %q", dockerfile, names(files))
		}
	}
}

func TestContextsThatCannotBePackedAreRefused(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "", "sub/Dockerfile": "", "bad/Dockerfile": "", "bad/.dockerignore": "# [\n\n!x/[\n", "worse/Dockerfile": "", "worse/Dockerfile.dockerignore": "!", "ignored/Dockerfile": "", "ignored/.dockerignore": "-> ../a.txt",
		"dangling/Dockerfile": "", "dangling/.dockerignore": "-> nowhere", "out/Dockerfile": "-> ../../Dockerfile"})
	for _, test := range []struct{ dir, dockerfile, want string }{
		{"nowhere", "", "does not exist"},
		{"a.txt", "", "is not a directory"},
		{".", "", `has no file "Dockerfile"`},
		{".", "sub", `has no file "sub"`},
		{"sub", "../x/Dockerfile", "cannot be read"},
		{"bad", "", `ignore file ".dockerignore", line 3, "!x/[": syntax error in pattern: correct or remove the pattern`},
		{"worse", "", `ignore file "Dockerfile.dockerignore", line 1, "!": illegal exclusion pattern`},
		{"out", "", `the Dockerfile "Dockerfile": it is a link to "../../Dockerfile", which leads out of the context or nowhere: put a copy`},
		{"ignored", "", `ignore file ".dockerignore" of`},
		{"ignored", "", `it is a link to "../a.txt", which leads out of the context or nowhere: put a copy`},
		{"dangling", "", `it is a link to "nowhere", which leads out of the context or nowhere: put a copy`},
	} {
		_, err := buildcontext.Open(filepath.Join(dir, test.dir), test.dockerfile)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open(%q, %q): %v, want %q", test.dir, test.dockerfile, err, test.want)
		}
	}
	if _, err := buildcontext.Open(filepath.Join(dir, "nowhere"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestSocketsAreSkippedAndSaid(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "", "s/x": ""})
	listener, err := net.Listen("unix", filepath.Join(dir, "s", "sock"))
	must(t, err)
	defer listener.Close()
	files, _, summary := pack(t, dir, "")
	if diff := cmp.Diff([]string{"Dockerfile", "s/", "s/x"}, names(files)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"s/sock"}, summary.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

func TestEmptyContextWithItsDockerfileOutside(t *testing.T) {
	dir := tree(t, map[string]string{"empty/": "", "Dockerfile": "FROM scratch"})
	files, c, _ := pack(t, filepath.Join(dir, "empty"), "../Dockerfile")
	if diff := cmp.Diff([]string{"context/", "dockerfile/Dockerfile"}, names(files)); diff != "" || c.Dir != "context" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// While a tree is packed, its files grow, shrink, go and come.
func TestFilesThatChangeWhileTheyArePacked(t *testing.T) {
	const large = 3 << 20
	for _, test := range []struct {
		name   string
		size   int
		change func(file string) error
		want   string // the content; or of the error
	}{
		{"a small one grows", 10, func(f string) error { return os.WriteFile(f, make([]byte, 20), 0o644) }, string(make([]byte, 20))},
		{"a small one shrinks", 10, func(f string) error { return os.Truncate(f, 5) }, "xxxxx"},
		{"a small one becomes huge", 10, func(f string) error { return os.Truncate(f, 64<<20) }, "changed while it was packed"},
		{"a small one goes", 10, os.Remove, ""},
		{"a small one becomes a directory", 10, func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o755)) }, "changed while it was packed"},
		{"a small one becomes a link out", 10, func(f string) error { return errors.Join(os.Remove(f), os.Symlink("/etc/passwd", f)) }, "escapes"},
		{"a large one grows", large, func(f string) error { return os.Truncate(f, 2*large) }, strings.Repeat("x", large)},
		{"a large one shrinks", large, func(f string) error { return os.Truncate(f, large-1) }, "changed while it was packed"},
		{"a large one goes", large, os.Remove, "changed while it was packed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"Dockerfile": "", "file": strings.Repeat("x", test.size)})
			scanned, err := open(t, dir, "").Scan(t.Context())
			must(t, err)
			must(t, test.change(filepath.Join(dir, "file")))
			file := newFile(t)
			_, err = scanned.WriteZip(t.Context(), file, noProgress)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || test.want == "" {
					t.Errorf("error %v, want %q", err, test.want)
				}
				return
			}
			got := ""
			for _, e := range unpack(t, file) {
				if e.Name == "file" {
					got = e.content
				}
			}
			if got != test.want {
				t.Errorf("%d bytes, want %d", len(got), len(test.want))
			}
		})
	}
}

func TestFileWithSeveralNamesMustNotLoseTheFirst(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "", "a": "x"})
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	scanned, err := open(t, dir, "").Scan(t.Context())
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "a")))
	var refused *buildcontext.ContentError
	if _, err := scanned.Digest(t.Context(), noProgress); !errors.As(err, &refused) {
		t.Errorf("err = %v", err)
	}
}

func TestCancelEndsPacking(t *testing.T) {
	files := map[string]string{"Dockerfile": "", "large": strings.Repeat("x", 64<<20)}
	c := open(t, tree(t, files), "")
	scanned, err := c.Scan(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := scanned.WriteZip(ctx, newFile(t), func(int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("WriteZip: %v", err)
	}
	if _, err := scanned.Digest(ctx, noProgress); !errors.Is(err, context.Canceled) {
		t.Errorf("Digest: %v", err)
	}
	if _, err := c.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v", err)
	}
}

func TestFullDiskIsAnError(t *testing.T) {
	scanned, err := open(t, tree(t, map[string]string{"Dockerfile": "", "large": strings.Repeat("x", 8<<20)}), "").Scan(t.Context())
	must(t, err)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	if _, err := scanned.WriteZip(t.Context(), full, noProgress); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("err = %v", err)
	}
}

func TestLargestPathsAreNamed(t *testing.T) {
	dir := tree(t, map[string]string{
		"Dockerfile": "x", "video.bin": strings.Repeat("x", 5000), "node_modules/a/1": strings.Repeat("x", 3000), "node_modules/b/1": strings.Repeat("x", 3000),
		"data/only/big": strings.Repeat("x", 4000), "data/readme": "x", "src/main.go": "xx", "empty/": "",
	})
	scanned, err := open(t, dir, "").Scan(t.Context())
	must(t, err)
	want := []buildcontext.Usage{{"node_modules/", 6000}, {"video.bin", 5000}, {"data/only/big", 4000}, {"src/main.go", 2}}
	if diff := cmp.Diff(want, scanned.Largest(4)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(scanned.Largest(100)); n != 5 {
		t.Errorf("of five there are %d", n)
	}
}
