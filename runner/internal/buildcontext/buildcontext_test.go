package buildcontext_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// pack returns the archive's entries in order.
func pack(t testing.TB, dir, dockerfile string) ([]*zip.File, *buildcontext.Context, buildcontext.Summary) {
	t.Helper()
	c, err := buildcontext.Open(dir, dockerfile)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	var buffer bytes.Buffer
	summary, err := c.WriteZip(context.Background(), &buffer)
	must(t, err)
	r, err := zip.NewReader(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
	must(t, err)
	return r.File, c, summary
}

func names(files []*zip.File) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

func content(t testing.TB, f *zip.File) string {
	t.Helper()
	r, err := f.Open()
	must(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	return string(text)
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

func TestLinksModesAndTimesAreKept(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch", "run.sh": "#!/bin/sh", "link": "-> run.sh", "out": "-> /etc/passwd", "d/": ""})
	must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o750|fs.ModeSetuid))
	must(t, os.Chmod(filepath.Join(dir, "d"), 0o700))
	when := time.Date(2021, 5, 6, 7, 8, 9, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(dir, "run.sh"), when, when))
	files, _, summary := pack(t, dir, "")
	got := map[string]*zip.File{}
	for _, f := range files {
		got[f.Name] = f
	}
	if mode := got["run.sh"].Mode(); mode != 0o750|fs.ModeSetuid {
		t.Errorf("run.sh has mode %v", mode)
	}
	if modified := got["run.sh"].Modified; !modified.Equal(when) {
		t.Errorf("run.sh is of %v", modified)
	}
	if mode := got["d/"].Mode(); mode != 0o700|fs.ModeDir {
		t.Errorf("d has mode %v", mode)
	}
	for name, target := range map[string]string{"link": "run.sh", "out": "/etc/passwd"} {
		if f := got[name]; f.Mode()&fs.ModeSymlink == 0 || content(t, f) != target {
			t.Errorf("%s: mode %v, content %q", name, f.Mode(), content(t, f))
		}
	}
	if summary.Files != 4 || summary.Bytes != int64(len("FROM scratch")+len("#!/bin/sh")) {
		t.Errorf("summary %+v", summary)
	}
}

func TestSameTreeGivesSameBytes(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch", "a/b/c": "x", "z": "-> a"})
	c, err := buildcontext.Open(dir, "")
	must(t, err)
	defer c.Close()
	var first, second bytes.Buffer
	_, err = c.WriteZip(context.Background(), &first)
	must(t, err)
	_, err = c.WriteZip(context.Background(), &second)
	must(t, err)
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one tree differ")
	}
}

func TestDockerfileOutsideOfTheContext(t *testing.T) {
	dir := tree(t, map[string]string{"app/main.go": "", "app/secret": "", "docker/Dockerfile": "FROM scratch", "docker/Dockerfile.dockerignore": "secret"})
	for _, dockerfile := range []string{"../docker/Dockerfile", filepath.Join(dir, "docker/Dockerfile")} {
		files, c, _ := pack(t, filepath.Join(dir, "app"), dockerfile)
		want := []string{"context/main.go", "dockerfile/Dockerfile", "dockerfile/Dockerfile.dockerignore"}
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

func TestContextsThatCannotBePackedAreRefused(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "", "sub/Dockerfile": "", "bad/Dockerfile": "", "bad/.dockerignore": "[", "out/Dockerfile": "-> ../../Dockerfile"})
	for _, test := range []struct{ dir, dockerfile, want string }{
		{"nowhere", "", "does not exist"},
		{"a.txt", "", "is not a directory"},
		{".", "", `has no file "Dockerfile"`},
		{".", "sub", `has no file "sub"`},
		{"sub", "../x/Dockerfile", "cannot be read"},
		{"bad", "", "syntax error in pattern"},
		{"out", "", `the Dockerfile "Dockerfile" is a link that leads out of it`},
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

func TestSpecialFilesAreSkippedAndSaid(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "", "s/x": ""})
	listener, err := net.Listen("unix", filepath.Join(dir, "s", "sock"))
	if err != nil {
		t.Skip(err)
	}
	defer listener.Close()
	files, _, summary := pack(t, dir, "")
	if diff := cmp.Diff([]string{"Dockerfile", "s/", "s/x"}, names(files)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"s/sock"}, summary.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

func TestNameThatIsNotUTF8(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": ""})
	if err := os.WriteFile(filepath.Join(dir, "caf\xe9"), nil, 0o644); err != nil {
		t.Skip("this file system refuses the name:", err)
	}
	c, err := buildcontext.Open(dir, "")
	must(t, err)
	defer c.Close()
	if _, err := c.WriteZip(context.Background(), io.Discard); err == nil || !strings.Contains(err.Error(), `caf\xe9`) {
		t.Errorf("err = %v", err)
	}
	plant(t, dir, ".dockerignore", "caf*")
	files, _, _ := pack(t, dir, "")
	if diff := cmp.Diff([]string{".dockerignore", "Dockerfile"}, names(files)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestFileThatGrowsIsCut(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "", "growing": strings.Repeat("x", 1<<16)})
	c, err := buildcontext.Open(dir, "")
	must(t, err)
	defer c.Close()
	file, err := os.OpenFile(filepath.Join(dir, "growing"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	// Each write of the archive makes the file longer: a copy to the end would never end.
	_, err = c.WriteZip(context.Background(), writerFunc(func(p []byte) (int, error) {
		file.WriteString(strings.Repeat("x", 1<<16))
		return len(p), nil
	}))
	must(t, err)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCancelEndsPacking(t *testing.T) {
	c, err := buildcontext.Open(tree(t, map[string]string{"Dockerfile": ""}), "")
	must(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.WriteZip(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

// A name that would be another one on the other side is refused, unless ignored.
func TestNamesThatAnArchiveCannotCarryAreRefused(t *testing.T) {
	for name, want := range map[string]string{`ba\ck`: "has a backslash", "\xff": "is not UTF-8"} {
		dir := tree(t, map[string]string{"Dockerfile": "", name: ""})
		c, err := buildcontext.Open(dir, "")
		must(t, err)
		defer c.Close()
		var refused *buildcontext.ContentError
		if _, err := c.WriteZip(context.Background(), io.Discard); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
		plant(t, dir, ".dockerignore", "*\n!Dockerfile\n")
		pack(t, dir, "")
	}
}
