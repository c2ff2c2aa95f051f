package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
	"github.com/codebuild-flex/flexbuild/runner"
)

// A directory that is uploaded gives the image that buildx makes of it on the
// same BuildKit, whatever CodeBuild's unzip keeps: the same names, types,
// modes, links, times and content.
func TestContextArrivesAsWithBuildx(t *testing.T) {
	t.Parallel()
	for kind, option := range map[string]localtest.Option{
		"an unzip that keeps least": func(*local.Options) {},
		"an unzip that keeps all":   func(o *local.Options) { o.KeepAllOfZIP = true },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := localtest.New(t, option)
			e.Deploy(t, buildspec.StackName, flexbuild.Template)
			for name, test := range contexts {
				t.Run(name, func(t *testing.T) {
					dir := t.TempDir()
					test.make(t, dir)
					context, dockerfile := filepath.Join(dir, "context"), filepath.Join(dir, test.dockerfile)
					got := builtByUs(t, e, context, dockerfile)
					want := builtByBuildx(t, e, context, dockerfile)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("buildx's files (-) and ours (+):\n%s", diff)
					}
					if len(want) < test.atLeast {
						t.Errorf("the image has %d files, the context %d at least", len(want), test.atLeast)
					}
				})
			}
		})
	}
}

// contexts are made in a directory of the test's: the context is its folder
// context.
var contexts = map[string]struct {
	make       func(t *testing.T, dir string)
	dockerfile string
	atLeast    int
}{
	"everything a directory can hold": {makeEverything, "context/Dockerfile", 20},
	"nothing":                         {makeNothing, "Dockerfile", 0},
	"a Dockerfile through a link that leads out": {makeLinkedOut, "context/docker/Dockerfile", 2},
}

const copyAll = "FROM scratch\nCOPY . /\nLABEL a=b\n"

func makeEverything(t *testing.T, dir string) {
	in := func(name string) string { return filepath.Join(dir, "context", name) }
	for _, folder := range []string{"empty", "sticky", "private", "a/b/c", "ignored"} {
		check(t, os.MkdirAll(in(folder), 0o755))
	}
	for name, text := range map[string]string{
		"Dockerfile": copyAll, ".dockerignore": "ignored\n", "ignored/secret": "x", "a/b/c/file": "text", "setuid": "#!/bin/sh\n", "setgid": "", "none": "unreadable",
		`ba\ck\slash`: "backslash", "new\nline": "newline", "-option": "dash", "sp ace ": "space", "ünï": "unicode", "large": strings.Repeat("0123456789abcdef", 200_000),
		strings.Repeat("long/", 40) + strings.Repeat("n", 200): "deep",
	} {
		check(t, os.MkdirAll(filepath.Dir(in(name)), 0o755))
		check(t, os.WriteFile(in(name), []byte(text), 0o644))
	}
	for link, target := range map[string]string{
		"link": "a/b", "dangling": "nowhere", "absolute": "/etc/passwd", "up": "../../../x", "a/relative": "../setuid", `back\link`: `ba\ck\slash`,
	} {
		check(t, os.Symlink(target, in(link)))
	}
	check(t, os.Link(in("a/b/c/file"), in("a/hard")))
	check(t, os.Link(in("a/b/c/file"), in("z-hard")))
	check(t, syscall.Mkfifo(in("pipe"), 0o640))
	for name, mode := range map[string]uint32{"setuid": 0o4755, "setgid": 0o2711, "none": 0, "sticky": 0o1777, "private": 0o700, "a/b": 0o2775} {
		check(t, syscall.Chmod(in(name), mode))
	}
	times := []time.Time{
		time.Date(2021, 5, 6, 7, 8, 9, 123456789, time.UTC), time.Date(1960, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 999999999, time.UTC),
	}
	for i, name := range []string{"setuid", "a/b/c/file", "none", "large", "empty", "a/b", "a"} {
		check(t, os.Chtimes(in(name), times[i%3], times[i%3]))
	}
}

func makeNothing(t *testing.T, dir string) {
	check(t, os.Mkdir(filepath.Join(dir, "context"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(copyAll), 0o644))
}

func makeLinkedOut(t *testing.T, dir string) {
	check(t, os.Mkdir(filepath.Join(dir, "context"), 0o755))
	check(t, os.Mkdir(filepath.Join(dir, "elsewhere"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "elsewhere/Dockerfile"), []byte(copyAll), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "context/file"), []byte("text"), 0o644))
	check(t, os.Symlink("../elsewhere", filepath.Join(dir, "context/docker")))
}

// Whether BuildKit itself takes names that are not UTF-8 depends on its
// version; they arrive where it is started.
func TestNamesOfAnyBytesArriveInTheBuild(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "caf\xe9"), []byte("latin"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("!caf*\n"), 0o644))
	t.Parallel()
	builtByUs(t, engine(t), dir, "")
}

// A caller cannot make another caller's build use something that was uploaded
// under its name.
func TestPlantedSourceFailsTheBuild(t *testing.T) {
	t.Parallel()
	e := engine(t)
	client, err := runner.New(t.Context(), e.Config(), buildspec.StackName)
	check(t, err)
	request := runner.Request{Source: directory(t, copyAll), Tags: []string{"app:mine"}}
	first, err := client.Run(t.Context(), request)
	check(t, err)
	other, err := client.Run(t.Context(), runner.Request{Source: directory(t, copyAll+"LABEL planted=yes\n"), Tags: []string{"app:other"}})
	check(t, err)
	objects := s3.NewFromConfig(e.Config())
	content := func(source string) []byte {
		bucket, key, _ := strings.Cut(source, "/")
		object, err := objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		check(t, err)
		defer object.Body.Close()
		text, err := io.ReadAll(object.Body)
		check(t, err)
		return text
	}
	for name, planted := range map[string][]byte{"another's directory": content(other.Source), "no zip of ours": emptyZip} {
		bucket, key, _ := strings.Cut(first.Source, "/")
		_, err = objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}) // nobody may overwrite it
		check(t, err)
		_, err = objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(planted), IfNoneMatch: aws.String("*")})
		check(t, err)
		_, err = client.Run(t.Context(), request)
		var failed *runner.BuildError
		if !errors.Is(err, runner.ErrBuildFailed) || !errors.As(err, &failed) || !strings.Contains(failed.Reason, "SOURCE_SHA256") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var emptyZip = append([]byte("PK\x05\x06"), make([]byte, 18)...)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file is what an image says of one of its files.
type file struct {
	Type byte
	Mode int64
	Link string
	Time time.Time
	Sum  string // of the content
}

func builtByUs(t *testing.T, e *localtest.Engine, dir, dockerfile string) map[string]file {
	t.Helper()
	client, err := runner.New(t.Context(), e.Config(), buildspec.StackName)
	check(t, err)
	result, err := client.Run(t.Context(), runner.Request{Source: runner.Dir(dir), Dockerfile: dockerfile, Tags: []string{"app:context"}, NoCache: true}, runner.WithLogs(t.Output()))
	check(t, err)
	auth, err := login(e.Config())
	check(t, err)
	ref, err := name.ParseReference(result.ImageURI)
	check(t, err)
	image, err := remote.Image(ref, remote.WithAuth(auth))
	check(t, err)
	return filesOf(t, image)
}

// builtByBuildx builds on the engine's BuildKit without its cache, because the
// cache ignores times.
func builtByBuildx(t *testing.T, e *localtest.Engine, dir, dockerfile string) map[string]file {
	t.Helper()
	out := filepath.Join(t.TempDir(), "oci")
	cmd := exec.Command("sh", "-euc", `"$0" create --name direct --driver remote "unix://$1" >/dev/null
exec "$0" build --builder direct --no-cache --provenance=false --output "type=oci,tar=false,dest=$2" --file "$3" "$4"`,
		filepath.Join(tools(), "buildx"), filepath.Join(e.Dir(), "builder", "buildkitd.sock"), out, dockerfile, dir)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("buildx: %v\n%s", err, text)
	}
	index, err := layout.ImageIndexFromPath(out)
	check(t, err)
	manifest, err := index.IndexManifest()
	check(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	check(t, err)
	return filesOf(t, image)
}

// filesOf reads the image's one layer; an image of an empty context may have
// none.
func filesOf(t *testing.T, image v1.Image) map[string]file {
	t.Helper()
	layers, err := image.Layers()
	check(t, err)
	files := map[string]file{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		check(t, err)
		defer content.Close()
		archive := tar.NewReader(content)
		for {
			h, err := archive.Next()
			if err == io.EOF {
				break
			}
			check(t, err)
			sum := sha256.New()
			_, err = io.Copy(sum, archive)
			check(t, err)
			files[path.Clean(h.Name)] = file{h.Typeflag, h.Mode, h.Linkname, h.ModTime.UTC(), fmt.Sprintf("%x", sum.Sum(nil)[:4])}
		}
	}
	return files
}
