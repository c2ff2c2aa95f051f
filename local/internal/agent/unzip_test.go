package agent

import (
	"archive/zip"
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

type zipEntry struct {
	name string
	mode fs.FileMode
	text string
}

func zipped(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		header.SetMode(e.mode)
		out, err := w.CreateHeader(header)
		must(t, err)
		_, err = out.Write([]byte(e.text))
		must(t, err)
	}
	must(t, w.Close())
	return data.Bytes()
}

const zipSpec = "version: 0.2\nphases: {build: {commands: [./run, 'cat link', ls -ld dir, 'test -L link || echo a text']}}"

func TestAZIPFileInABucket(t *testing.T) {
	b := newBench(t)
	data := zipped(t, zipEntry{"buildspec.yml", 0o644, zipSpec}, zipEntry{"dir/", fs.ModeDir | 0o555, ""},
		zipEntry{"dir/text", 0o600, "linked\n"}, zipEntry{"run", 0o755, "#!/bin/sh\necho ran\n"}, zipEntry{"link", fs.ModeSymlink | 0o777, "dir/text"})
	b.upload(t, "source.zip", data)
	b.run(t, source(types.SourceTypeS3, "bucket/source.zip"), buildspec("")).want(t, types.StatusTypeSucceeded, "\nran\n", "\ndir/text", "a text\n", "\ndr-xr-xr-x ")
	b.agent.KeepAllOfZIP = true
	b.run(t, source(types.SourceTypeS3, "bucket/source.zip"), buildspec("")).want(t, types.StatusTypeSucceeded, "\nran\n", "\nlinked\n")
}

func TestAZIPFileThatCannotBeHad(t *testing.T) {
	b := newBench(t)
	b.upload(t, "text.zip", []byte("text"))
	for location, want := range map[string]string{
		"bucket/nope.zip": "NoSuchKey: The specified key does not exist: nope.zip for primary source and source version arn:aws:s3:::bucket/nope.zip",
		"bucket/text.zip": "cannot unpack s3://bucket/text.zip: zip: not a valid zip file",
	} {
		r := b.run(t, source(types.SourceTypeS3, location), buildspec(""))
		if r.want(t, types.StatusTypeFailed); !strings.HasPrefix(r.context(), "CLIENT_ERROR: ") || !strings.Contains(r.context(), want) {
			t.Errorf("context = %s", r.context())
		}
	}
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`)
	r := b.run(t, source(types.SourceTypeS3, "bucket/text.zip"), buildspec(""))
	if want := "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::bucket/text.zip"; !strings.Contains(r.context(), want) {
		t.Errorf("context = %s", r.context())
	}
}

const symlink = fs.ModeSymlink | 0o777

// escapes are archives that are refused when everything of them is kept.
var escapes = map[string][]zipEntry{
	"a path up":               {{"../evil", 0o644, "x"}},
	"a path up from inside":   {{"a/../../evil", 0o644, "x"}},
	"an absolute path":        {{"/evil", 0o644, "x"}},
	"a backslash":             {{`..\evil`, 0o644, "x"}},
	"through a link up":       {{"l", symlink, ".."}, {"l/evil", 0o644, "x"}},
	"through a link out":      {{"l", symlink, "/tmp"}, {"l/evil", 0o644, "x"}},
	"through two links":       {{"a", symlink, "b"}, {"b", symlink, ".."}, {"a/evil", 0o644, "x"}},
	"over a link":             {{"evil", symlink, "../evil"}, {"evil", 0o644, "x"}},
	"a folder through a link": {{"l", symlink, ".."}, {"l/evil/", fs.ModeDir | 0o755, ""}},
	"a name twice":            {{"a", 0o644, "x"}, {"a", 0o644, "y"}},
	"a device":                {{"a", fs.ModeDevice | 0o644, ""}},
	"a pipe":                  {{"a", fs.ModeNamedPipe | 0o644, ""}},
	"a long link":             {{"a", symlink, strings.Repeat("x", 5000)}},
}

func TestUnzipKeepsInside(t *testing.T) {
	for name, entries := range escapes {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "src")
			must(t, os.Mkdir(dir, 0o755))
			data := zipped(t, entries...)
			if err := unzip(context.Background(), bytes.NewReader(data), int64(len(data)), dir, true); err == nil {
				t.Error("not refused")
			}
			if _, err := os.Lstat(filepath.Join(parent, "evil")); err == nil {
				t.Error("it was written outside")
			}
		})
	}
}

// It is not known what CodeBuild's own unzip keeps.
func TestUnzipDoesTheWorstUnlessToldToKeepAll(t *testing.T) {
	when := time.Date(2021, 5, 6, 7, 8, 10, 0, time.UTC)
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for name, mode := range map[string]fs.FileMode{
		"file": fs.ModeSetuid | fs.ModeSetgid | 0o751, "folder/": fs.ModeDir | fs.ModeSticky | 0o755, "link": fs.ModeSymlink | 0o777,
	} {
		header := &zip.FileHeader{Name: name, Modified: when}
		header.SetMode(mode)
		out, err := w.CreateHeader(header)
		must(t, err)
		if mode&fs.ModeSymlink != 0 {
			_, err = out.Write([]byte("file"))
			must(t, err)
		}
	}
	must(t, w.Close())
	for _, keepAll := range []bool{false, true} {
		dir := t.TempDir()
		must(t, unzip(context.Background(), bytes.NewReader(data.Bytes()), int64(data.Len()), dir, keepAll))
		want := map[string]fs.FileMode{"file": 0o751, "folder": fs.ModeDir | 0o755, "link": 0o777}
		if keepAll {
			want = map[string]fs.FileMode{"file": fs.ModeSetuid | fs.ModeSetgid | 0o751, "folder": fs.ModeDir | fs.ModeSticky | 0o755, "link": fs.ModeSymlink | 0o777}
		}
		for name, mode := range want {
			info, err := os.Lstat(filepath.Join(dir, name))
			must(t, err)
			if info.Mode() != mode {
				t.Errorf("keepAll %v: %s has mode %v, want %v", keepAll, name, info.Mode(), mode)
			}
			if kept := info.ModTime().Equal(when); kept != keepAll && name != "link" {
				t.Errorf("keepAll %v: %s is of %v", keepAll, name, info.ModTime())
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "link")); !keepAll && (err != nil || string(text) != "file") {
			t.Errorf("the link became %q, %v", text, err)
		}
	}
}

func FuzzUnzip(f *testing.F) {
	// One archive that is unpacked as a whole, and those that end in each of the
	// refusals.
	f.Add(zipped(f, zipEntry{"d/", fs.ModeDir | 0o555, ""}, zipEntry{"d/text", fs.ModeSetuid | 0o644, "x"}, zipEntry{"d/l", symlink, "../d/text"}, zipEntry{"run", 0o755, "#!/bin/sh"}))
	for _, entries := range escapes {
		f.Add(zipped(f, entries...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, keepAll := range []bool{false, true} {
			parent := t.TempDir()
			dir := filepath.Join(parent, "src")
			must(t, os.Mkdir(dir, 0o755))
			_ = unzip(context.Background(), bytes.NewReader(data), int64(len(data)), dir, keepAll)
			if entries, _ := os.ReadDir(parent); len(entries) != 1 {
				t.Errorf("written outside: %v", entries)
			}
		}
	})
}
