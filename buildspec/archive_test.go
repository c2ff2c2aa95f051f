package buildspec

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var moment = time.Unix(1_700_000_000, 123_456_789)

// member returns an entry of an archive. A name that ends in / is a directory.
// The content "-> target" makes a symbolic link, and "== target" a hard link.
func member(name, content string, mode int64) *tar.Header {
	h := &tar.Header{Name: name, Mode: mode, ModTime: moment, Format: tar.FormatPAX, Uid: os.Getuid(), Gid: os.Getgid()}
	if target, found := strings.CutPrefix(content, "-> "); found {
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	} else if target, found := strings.CutPrefix(content, "== "); found {
		h.Typeflag, h.Linkname = tar.TypeLink, target
	} else if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	} else {
		h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
		h.PAXRecords = map[string]string{"test.content": content}
	}
	return h
}

// archive returns a tar archive and the SHA-256 of it.
func archive(t testing.TB, members ...*tar.Header) (text []byte, digest string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		content := h.PAXRecords["test.content"]
		h.PAXRecords = nil
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:])
}

func zipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range parts {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// tree describes what is in a directory: mode, time, target or content of each.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		text := fmt.Sprint(info.Mode(), " ", info.ModTime().UnixNano(), " ")
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += "-> " + target
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprint(info.Sys().(*syscall.Stat_t).Nlink) + " " + string(content)
		}
		all[strings.TrimPrefix(path, root+"/")] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// upload puts an archive where CodeBuild unpacks an uploaded source.
func (s sandbox) upload(t testing.TB, zip []byte) {
	t.Helper()
	if err := os.WriteFile(s.source+"/source.tar.gz", zip, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUploadedDirectoryArrivesByteForByte(t *testing.T) {
	text, digest := archive(t,
		member("Dockerfile", "FROM scratch\n", 0o600),
		member("empty/", "", 0o750),
		member("sticky/", "", 0o1777),
		member("group/", "", 0o2755),
		member("group/set-uid", "tool", 0o4755),
		member("group/twin", "== Dockerfile", 0o600),
		member("link", "-> group/set-uid", 0o777),
		member("up/", "", 0o755),
		member("up/link", "-> ../Dockerfile", 0o777),
		member("nowhere", "-> /not/there", 0o777),
		member("\xff\xfe", "1", 0o444),
		member("é", "2", 0o666),
		member(`a\b`, "3", 0o644),
		member("a\nb", "4", 0o644),
		member("-rf *", "5", 0o644),
		member(strings.Repeat("long/", 40)+"x", "6", 0o644),
	)
	stamp := fmt.Sprint(" ", moment.UnixNano(), " ")
	want := map[string]string{
		"Dockerfile": "-rw-------" + stamp + "2 FROM scratch\n", "group/twin": "-rw-------" + stamp + "2 FROM scratch\n",
		"empty": "drwxr-x---" + stamp, "sticky": "dtrwxrwxrwx" + stamp, "group": "dgrwxr-xr-x" + stamp, "up": "drwxr-xr-x" + stamp,
		"group/set-uid": "urwxr-xr-x" + stamp + "1 tool",
		"link":          "Lrwxrwxrwx" + stamp + "-> group/set-uid", "up/link": "Lrwxrwxrwx" + stamp + "-> ../Dockerfile", "nowhere": "Lrwxrwxrwx" + stamp + "-> /not/there",
		"\xff\xfe": "-r--r--r--" + stamp + "1 1", "é": "-rw-rw-rw-" + stamp + "1 2", `a\b`: "-rw-r--r--" + stamp + "1 3", "a\nb": "-rw-r--r--" + stamp + "1 4", "-rf *": "-rw-r--r--" + stamp + "1 5",
		strings.Repeat("long/", 40) + "x": "-rw-r--r--" + stamp + "1 6",
	}
	for name, zip := range map[string][]byte{"one member": zipped(t, text), "several members": zipped(t, text[:700], nil, text[700:])} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.upload(t, zip)
			got := s.run(t, map[string]string{"SOURCE_SHA256": digest, "CODEBUILD_SOURCE_REPO_URL": "s3://b/x", "CODEBUILD_RESOLVED_SOURCE_VERSION": "an object's version"})
			got.works(t)
			if got.exported[varSourceCommit] != "" {
				t.Errorf("it has the commit %q", got.exported[varSourceCommit])
			}
			arrived := tree(t, s.home+"/.flexbuild/source")
			maps.DeleteFunc(arrived, func(path, _ string) bool { return strings.HasPrefix(path, "long") && !strings.HasSuffix(path, "x") })
			if diff := cmp.Diff(want, arrived); diff != "" {
				t.Errorf("the context (-want +got):\n%s", diff)
			}
			if _, err := os.Stat(s.source + "/source.tar.gz"); err == nil {
				t.Error("the archive still takes its place on the disk")
			}
		})
	}
}

func TestEmptyUploadHasNoDockerfile(t *testing.T) {
	text, digest := archive(t)
	s := newSandbox(t)
	s.upload(t, zipped(t, text))
	s.run(t, map[string]string{"SOURCE_SHA256": digest}).fails(t, ExitSource, `DOCKERFILE: the source has no file "Dockerfile"`)
}

func TestRefusesAnUploadThatIsNotWhatTheCallerMeant(t *testing.T) {
	text, digest := archive(t, member("Dockerfile", "FROM scratch\n", 0o644))
	zip := zipped(t, text)
	forged, _ := archive(t, member("Dockerfile", "FROM scratcH\n", 0o644))
	const not = "SOURCE_SHA256: the source does not have the digest "
	for name, test := range map[string]struct {
		zip  []byte
		says string
	}{
		"another directory":          {zipped(t, forged), not + digest + ": delete that upload, or change a file of the directory"},
		"more than the directory":    {zipped(t, text, []byte("x")), not},
		"less than the directory":    {zipped(t, text[:len(text)-512]), not},
		"half a file":                {zip[:len(zip)-10], "SOURCE_SHA256: the source cannot be unpacked: "},
		"half an archive":            {zipped(t, text[:520]), "SOURCE_SHA256: the source cannot be unpacked: "},
		"bytes after the archive":    {append(bytes.Clone(zip), "garbage"...), "SOURCE_SHA256: "},
		"an archive, not compressed": {text, "SOURCE_SHA256: the source cannot be unpacked: "},
		"nothing":                    {nil, "SOURCE_SHA256: the source cannot be unpacked: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.upload(t, test.zip)
			s.run(t, map[string]string{"SOURCE_SHA256": digest}).fails(t, ExitSource, test.says)
		})
	}
}

func TestRefusesAnUploadWithoutAnArchive(t *testing.T) {
	text, digest := archive(t, member("Dockerfile", "FROM scratch\n", 0o644))
	for name, place := range map[string]func(*testing.T, sandbox, string){
		"none":        func(t *testing.T, s sandbox, _ string) { s.write(t, "Dockerfile") },
		"a link":      func(t *testing.T, s sandbox, zip string) { symlink(t, zip, s.source+"/source.tar.gz") },
		"a directory": func(t *testing.T, s sandbox, _ string) { s.write(t, "source.tar.gz/x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			zip := s.root + "/elsewhere"
			if err := os.WriteFile(zip, zipped(t, text), 0o600); err != nil {
				t.Fatal(err)
			}
			place(t, s, zip)
			s.run(t, map[string]string{"SOURCE_SHA256": digest}).fails(t, ExitSource, "SOURCE_SHA256: the source holds no source.tar.gz")
			if _, err := os.Stat(zip); err != nil {
				t.Error(err)
			}
		})
	}
}

// The digest is checked when the archive has been unpacked, so nothing in it
// may reach a file outside.
func TestMembersOfAnUploadStayInside(t *testing.T) {
	for name, members := range map[string]func(outside string) []*tar.Header{
		"a path that climbs": func(string) []*tar.Header { return []*tar.Header{member("../../outside/evil", "x", 0o644)} },
		"an absolute path":   func(out string) []*tar.Header { return []*tar.Header{member(out+"/evil", "x", 0o644)} },
		"through an absolute link": func(out string) []*tar.Header {
			return []*tar.Header{member("l", "-> "+out, 0o777), member("l/evil", "x", 0o644)}
		},
		"through a climbing link": func(string) []*tar.Header {
			return []*tar.Header{member("l", "-> ../../outside", 0o777), member("l/evil", "x", 0o644)}
		},
		"through two links": func(string) []*tar.Header {
			return []*tar.Header{member("a/", "", 0o755), member("a/u", "-> ..", 0o777), member("l", "-> a/u/../../outside", 0o777), member("l/evil", "x", 0o644)}
		},
		"a hard link": func(out string) []*tar.Header {
			return []*tar.Header{member("h", "== "+out+"/mine", 0o644), member("h", "x", 0o644)}
		},
		"a hard link that climbs": func(string) []*tar.Header {
			return []*tar.Header{member("h", "== ../../outside/mine", 0o644), member("h", "x", 0o644)}
		},
		"a file over a link": func(out string) []*tar.Header {
			return []*tar.Header{member("l", "-> "+out+"/mine", 0o777), member("l", "x", 0o644)}
		},
		"a mode through a link": func(out string) []*tar.Header {
			return []*tar.Header{member("l", "-> "+out, 0o777), member("l/", "", 0o777)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			outside := s.home + "/outside"
			if err := os.Mkdir(outside, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(outside+"/mine", []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			before := tree(t, s.home)
			text, digest := archive(t, append([]*tar.Header{member("Dockerfile", "FROM scratch\n", 0o644)}, members(outside)...)...)
			s.upload(t, zipped(t, text))
			got := s.run(t, map[string]string{"SOURCE_SHA256": digest})
			if got.status != 0 && got.status != ExitSource {
				t.Errorf("exit status %d\n%s", got.status, got.output)
			}
			after := tree(t, s.home)
			maps.DeleteFunc(after, func(path, _ string) bool { return strings.HasPrefix(path, ".flexbuild") })
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("outside (-before +after):\n%s\n%s", diff, got.output)
			}
		})
	}
}

func TestUploadIsNotMixedWithAnEarlierOne(t *testing.T) {
	s := newSandbox(t)
	old := s.home + "/.flexbuild/source/old"
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	text, digest := archive(t, member("Dockerfile", "FROM scratch\n", 0o644))
	s.upload(t, zipped(t, text))
	s.run(t, map[string]string{"SOURCE_SHA256": digest}).works(t)
	if _, err := os.Stat(old); err == nil {
		t.Error("the context has a file of an earlier build")
	}
}
