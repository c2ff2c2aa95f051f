package runner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// aTree returns a directory with the kinds of files that sources treat
// differently.
func aTree(t *testing.T) string {
	dir := t.TempDir()
	at := time.Unix(1_700_000_000, 0)
	for name, text := range map[string]string{"Dockerfile": "FROM scratch", "sub/run.sh": "true", ".dockerignore": "*.log\n", "x.log": "no"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		os.Chmod(filepath.Join(dir, "sub/run.sh"), 0o755|fs.ModeSetuid),
		os.Symlink("sub/run.sh", filepath.Join(dir, "link")),
		os.Mkdir(filepath.Join(dir, "empty"), 0o750),
		os.Chmod(filepath.Join(dir, "sub"), 0o755|fs.ModeSticky),
	)
	names := []string{"Dockerfile", "sub/run.sh", ".dockerignore", "x.log", "empty", "sub", "."}
	for _, name := range names {
		err = errors.Join(err, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	if err != nil {
		t.Fatal(err)
	}
	// A tar archive has whole seconds.
	if text, err := exec.Command("touch", "-h", "-d", "@1700000000", filepath.Join(dir, "link")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return dir
}

func tarOf(t *testing.T, dir string) []byte {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// keysOf returns the uploads that a source makes.
func keysOf(t *testing.T, source Source) []string {
	t.Helper()
	s := newScript().starts(testID)
	if _, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(s.objects))
}

func TestFilesOfOneTreeMakeOneUpload(t *testing.T) {
	useCache(t)
	t.Setenv("TMPDIR", t.TempDir())
	dir := aTree(t)
	packed := tarOf(t, dir)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(packed); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	want := keysOf(t, Dir(dir))
	for name, source := range map[string]Source{
		"a file system":  FS(os.DirFS(dir)),
		"an archive":     Tar(bytes.NewReader(packed)),
		"a gzipped one":  Tar(&zipped),
		"in small reads": Tar(onByte{bytes.NewReader(packed)}),
	} {
		if got := keysOf(t, source); !slices.Equal(got, want) {
			t.Errorf("%s: upload %q, want %q", name, got, want)
		}
	}
	assertEmpty(t, os.TempDir())
}

type onByte struct{ io.Reader }

func (r onByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", dir, left, err)
	}
}

func TestBadArchivesAreRefusedAndLeaveNothing(t *testing.T) {
	good := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
	}
	for name, test := range map[string]struct {
		text []byte
		want string
	}{
		"no archive":         {[]byte("FROM scratch"), "tar archive"},
		"cut off":            {tarOf(t, aTree(t))[:400], "tar archive"},
		"out by its name":    {archive(t, good("Dockerfile"), good("../x")), `"../x", which leads out`},
		"out by a link":      {archive(t, good("Dockerfile"), tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, good("l/x")), `"l/x"`},
		"out by hard link":   {archive(t, good("Dockerfile"), tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}), "leads out"},
		"no Dockerfile":      {archive(t, good("x")), "Dockerfile"},
		"a file, then a dir": {archive(t, good("Dockerfile"), good("a"), good("a/b")), `"a/b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			s := newScript().starts(testID)
			_, err := s.client().Start(t.Context(), Request{Source: Tar(bytes.NewReader(test.text)), Tags: []string{"app"}})
			if !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), test.want) || len(s.tokens) > 0 || len(s.objects) > 0 {
				t.Errorf("%d starts, %d uploads, %v", len(s.tokens), len(s.objects), err)
			}
			assertEmpty(t, os.TempDir())
		})
	}
}

func archive(t *testing.T, headers ...tar.Header) []byte {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func TestTarIsGoodForOneStart(t *testing.T) {
	s := newScript().starts(testID)
	request := Request{Source: Tar(bytes.NewReader(tarOf(t, aTree(t)))), Tags: []string{"app"}}
	if _, err := s.client().Start(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client().Start(t.Context(), request); !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), "has been read already") {
		t.Errorf("the second time: %v", err)
	}
}

func TestFilesWithoutTimesMakeTheSameUploadAgain(t *testing.T) {
	files := fstest.MapFS{"Dockerfile": {Data: []byte("FROM scratch"), Mode: 0o644}, "a/b": {Data: []byte("b")}}
	first := keysOf(t, FS(files))
	if again := keysOf(t, FS(files)); !slices.Equal(first, again) {
		t.Errorf("%q, then %q", first, again)
	}
}
