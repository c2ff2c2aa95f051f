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

const zipSpec = "version: 0.2\nphases: {build: {commands: [./run, 'cat link', ls -ld dir]}}"

func TestAZIPFileInABucket(t *testing.T) {
	b := newBench(t)
	data := zipped(t, zipEntry{"buildspec.yml", 0o644, zipSpec}, zipEntry{"dir/", fs.ModeDir | 0o555, ""},
		zipEntry{"dir/text", 0o600, "linked\n"}, zipEntry{"run", 0o755, "#!/bin/sh\necho ran\n"}, zipEntry{"link", fs.ModeSymlink | 0o777, "dir/text"})
	must(t, os.WriteFile(filepath.Join(b.bucket, "source.zip"), data, 0o600))
	b.run(t, source(types.SourceTypeS3, "bucket/source.zip"), buildspec("")).want(t, types.StatusTypeSucceeded, "\nran\n", "\nlinked\n", "\ndr-xr-xr-x ")
}

func TestAZIPFileThatCannotBeHad(t *testing.T) {
	b := newBench(t)
	must(t, os.WriteFile(filepath.Join(b.bucket, "text.zip"), []byte("text"), 0o600))
	for location, want := range map[string]string{
		"bucket/nope.zip": "nope.zip: no such file or directory for primary source and source version arn:aws:s3:::bucket/nope.zip",
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

func TestUnzipKeepsInside(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	for name, entries := range map[string][]zipEntry{
		"a path up":               {{"../evil", 0o644, "x"}},
		"a path up from inside":   {{"a/../../evil", 0o644, "x"}},
		"an absolute path":        {{"/evil", 0o644, "x"}},
		"a backslash":             {{`..\evil`, 0o644, "x"}},
		"through a link up":       {{"l", link, ".."}, {"l/evil", 0o644, "x"}},
		"through a link out":      {{"l", link, "/tmp"}, {"l/evil", 0o644, "x"}},
		"through two links":       {{"a", link, "b"}, {"b", link, ".."}, {"a/evil", 0o644, "x"}},
		"over a link":             {{"evil", link, "../evil"}, {"evil", 0o644, "x"}},
		"a folder through a link": {{"l", link, ".."}, {"l/evil/", fs.ModeDir | 0o755, ""}},
		"a name twice":            {{"a", 0o644, "x"}, {"a", 0o644, "y"}},
		"a device":                {{"a", fs.ModeDevice | 0o644, ""}},
		"a pipe":                  {{"a", fs.ModeNamedPipe | 0o644, ""}},
		"a long link":             {{"a", link, strings.Repeat("x", 5000)}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "src")
			must(t, os.Mkdir(dir, 0o755))
			data := zipped(t, entries...)
			if err := unzip(context.Background(), bytes.NewReader(data), int64(len(data)), dir); err == nil {
				t.Error("not refused")
			}
			if _, err := os.Lstat(filepath.Join(parent, "evil")); err == nil {
				t.Error("it was written outside")
			}
		})
	}
}

func TestUnzipDropsSetuid(t *testing.T) {
	dir := t.TempDir()
	data := zipped(t, zipEntry{"a", fs.ModeSetuid | 0o755, "x"})
	must(t, unzip(context.Background(), bytes.NewReader(data), int64(len(data)), dir))
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func FuzzUnzip(f *testing.F) {
	f.Add(zipped(f, zipEntry{"a/b", 0o644, "x"}, zipEntry{"l", fs.ModeSymlink, "../.."}, zipEntry{"l/c", 0o644, "y"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "src")
		must(t, os.Mkdir(dir, 0o755))
		_ = unzip(context.Background(), bytes.NewReader(data), int64(len(data)), dir)
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("written outside: %v", entries)
		}
	})
}
