package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/pem"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdxlib"
)

const (
	projectDir = "../.."
	version    = "v1.2.3"
)

// repository returns a git repository with one commit of the project's files
// as they are, which has a version.
var repository = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "flexbuild-repository-")
	if err != nil {
		return "", err
	}
	if err := copyProject(folder); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "--all"}, {"commit", "--quiet", "--message", "A release"}, {"tag", version},
	} {
		if err := git(folder, args...); err != nil {
			return "", err
		}
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder, err := repository(); err == nil {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

func copyProject(into string) error {
	left := []string{".git", "bin", "dist", "cdk.out", "node_modules"}
	return filepath.WalkDir(projectDir, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(left, d.Name()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // a work tree's .git
		}
		name, err := filepath.Rel(projectDir, file)
		if err != nil {
			return err
		}
		target := filepath.Join(into, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}

func git(folder string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// clone returns a new clone of the repository, in a folder of its own depth.
func clone(t *testing.T, name string) string {
	t.Helper()
	from, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), name)
	if err := git(".", "clone", "--quiet", from, into); err != nil {
		t.Fatal(err)
	}
	return into
}

const platform = "linux/" + runtime.GOARCH

// release makes a release for Linux on this machine's processor, and returns
// its folder.
func release(t *testing.T, clone string) string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "dist")
	if err := run([]string{"-platforms", platform, clone, into}, io.Discard); err != nil {
		t.Fatal(err)
	}
	return into
}

func contentOf(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mostBytes is the largest size of the command. It is 22 MB, and 41 MB if the
// linker has to keep every exported method, as it has for text/template.
const mostBytes = 30_000_000

// mostAllocations is how often the command's packages may allocate memory
// before main. They do 13,300 times, and 40,800 times with tables of all shapes
// of SSM, IAM and CloudWatch Logs, which double the time of each start.
const mostAllocations = 18_000

// The command and all else of a release are the same bytes, wherever the
// clone lies. What the release contains is what it says of itself.
func TestReleaseOfACommit(t *testing.T) {
	first, second := release(t, clone(t, "a")), release(t, clone(t, "elsewhere/b"))
	prefix := "flexbuild_" + version + "_"
	host := prefix + "linux_" + runtime.GOARCH
	want := []string{"SHA256SUMS", prefix + "image.tar", host + ".spdx.json", host + ".tar.gz"}
	slices.Sort(want)
	for _, folder := range []string{first, second} {
		if got := names(t, folder); !slices.Equal(got, want) {
			t.Fatalf("the release has %q, want %q", got, want)
		}
	}
	for _, name := range want {
		if !bytes.Equal(contentOf(t, filepath.Join(first, name)), contentOf(t, filepath.Join(second, name))) {
			t.Errorf("%s differs between two clones of one commit", name)
		}
	}

	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = first
	if output, err := check.CombinedOutput(); err != nil || strings.Count(string(output), ": OK\n") != len(want)-1 {
		t.Errorf("sha256sum: %v\n%s", err, output)
	}

	files := untar(t, gunzip(t, contentOf(t, filepath.Join(first, host+".tar.gz"))), t.TempDir())
	wanted := []string{"LICENSE", "NOTICES", "flexbuild"}
	for _, page := range names(t, projectDir+"/docs/man") {
		wanted = append(wanted, "share/man/man1/"+page)
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, wanted) {
		t.Errorf("the archive has %q, want %q", got, wanted)
	}
	if page, want := contentOf(t, files["share/man/man1/flexbuild-build.1"]), `.TH "FLEXBUILD-BUILD" "1" "2026-01-02" "flexbuild `+version+`" `; !bytes.Contains(page, []byte(want)) {
		t.Errorf("the manual page has no %s:\n%.200s", want, page)
	}
	for _, part := range []string{"==== Go go1.", "==== github.com/aws/aws-sdk-go-v2 v", "Apache License"} {
		if !bytes.Contains(contentOf(t, files["NOTICES"]), []byte(part)) {
			t.Errorf("NOTICES does not have %q", part)
		}
	}
	checkVersion(t, exec.Command(files["flexbuild"], "version"))
	if info, err := os.Stat(files["flexbuild"]); err != nil || info.Size() > mostBytes {
		t.Errorf("the command has %d bytes (%v), want at most %d: something may look for methods by reflection again", info.Size(), err, mostBytes)
	}
	if got := initAllocations(t, files["flexbuild"]); got > mostAllocations {
		t.Errorf("the command's packages allocate memory %d times before main, want at most %d: GODEBUG=inittrace=1 flexbuild version says which", got, mostAllocations)
	}
	checkSBOM(t, filepath.Join(first, host+".spdx.json"), files["flexbuild"])
	checkImage(t, filepath.Join(first, prefix+"image.tar"))
}

// initAllocations returns how often the packages of the command allocate memory
// before main is called.
func initAllocations(t *testing.T, binary string) (sum int) {
	t.Helper()
	cmd := exec.Command(binary, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	output, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`(?m)^init .* (\d+) allocs$`).FindAllSubmatch(output, -1)
	if err != nil || len(found) == 0 {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, counted := range found {
		count, err := strconv.Atoi(string(counted[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += count
	}
	return sum
}

func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func gunzip(t *testing.T, content []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	content, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// untar unpacks a tar file and returns its files by name.
func untar(t *testing.T, content []byte, folder string) map[string]string {
	t.Helper()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", "--extract", "--preserve-permissions", "--directory", folder)
	cmd.Stdin = bytes.NewReader(content)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, output)
	}
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			files[header.Name] = filepath.Join(folder, header.Name)
		}
	}
}

// checkVersion runs `flexbuild version`, which must name the tag and the
// commit.
func checkVersion(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	from, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	commit, err := exec.Command("git", "-C", from, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.CombinedOutput()
	if want := "flexbuild " + version + ", commit " + string(commit[:12]) + ", contract "; err != nil || !strings.HasPrefix(string(output), want) {
		t.Errorf("%q says %q (%v), want %q", cmd.Args, output, err, want)
	}
}

// checkSBOM compares the SBOM with what `go version -m` says of the binary.
func checkSBOM(t *testing.T, file, binary string) {
	t.Helper()
	doc, err := json.Read(bytes.NewReader(contentOf(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	listed := map[string]string{}
	ids := map[string]bool{}
	for _, p := range doc.Packages {
		listed[p.PackageName] = p.PackageVersion
		ids[string(p.PackageSPDXIdentifier)] = true
	}
	if len(ids) != len(doc.Packages) {
		t.Errorf("%d packages have %d ids", len(doc.Packages), len(ids))
	}
	output, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"stdlib": strings.TrimPrefix(runtime.Version(), "go")}
	for _, line := range strings.Split(string(output), "\n") {
		if fields := strings.Fields(line); len(fields) >= 3 && (fields[0] == "dep" || fields[0] == "mod") {
			want[fields[1]] = fields[2]
		}
	}
	if !maps.Equal(listed, want) {
		t.Errorf("the SBOM lists %v, and the binary contains %v", listed, want)
	}
	if len(want) < 20 || listed["github.com/codebuild-flex/flexbuild"] != version {
		t.Errorf("the binary contains %v", want)
	}
	if got, want := purlOf(doc, "github.com/spf13/cobra"), "pkg:golang/github.com/spf13/cobra@"+want["github.com/spf13/cobra"]; got != want {
		t.Errorf("cobra is called %q, want %q", got, want)
	}
}

func purlOf(doc *spdx.Document, name string) string {
	for _, p := range doc.Packages {
		if p.PackageName == name {
			return p.PackageExternalReferences[0].Locator
		}
	}
	return ""
}

// checkImage reads the image as any tool does, and starts the command in the
// image's own files, as the image's user.
func checkImage(t *testing.T, file string) {
	t.Helper()
	copied := exec.Command("skopeo", "--insecure-policy", "copy", "--all", "--quiet", "oci-archive:"+file+":"+version, "oci:"+t.TempDir()+":copy")
	if output, err := copied.CombinedOutput(); err != nil {
		t.Errorf("skopeo: %v\n%s", err, output)
	}
	folder := t.TempDir()
	untar(t, contentOf(t, file), folder)
	path, err := layout.FromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	tagged, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(tagged.Manifests) != 1 || tagged.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != version {
		t.Fatalf("the layout has %+v, want one image of the tag %s", tagged.Manifests, version)
	}
	inner, err := outer.ImageIndex(tagged.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(platforms.Manifests) != 1 || platforms.Manifests[0].Platform.String() != platform {
		t.Fatalf("the image is for %+v, want %s", platforms.Manifests, platform)
	}
	image, err := inner.Image(platforms.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := "65532:65532"; config.Config.User != want || config.Architecture != runtime.GOARCH || config.Config.Labels["org.opencontainers.image.version"] != version {
		t.Errorf("the image's config is %+v", config)
	}
	content, err := io.ReadAll(mutate.Extract(image))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	files := untar(t, content, root)
	cmd := &exec.Cmd{
		Path: config.Config.Entrypoint[0], Args: append(slices.Clone(config.Config.Entrypoint), "version"),
		Env: config.Config.Env, Dir: config.Config.WorkingDir,
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}},
	}
	checkVersion(t, cmd)
	checkAuthorities(t, contentOf(t, files["etc/ssl/certs/ca-certificates.crt"]))
	if info, err := os.Stat(filepath.Join(root, "tmp")); err != nil || info.Mode().Perm() != 0o777 || info.Mode()&os.ModeSticky == 0 {
		t.Errorf("the image's /tmp: %v, %v", info, err)
	}
}

// checkAuthorities reads the certificates as crypto/x509 does. Amazon's must
// be among them.
func checkAuthorities(t *testing.T, text []byte) {
	t.Helper()
	var subjects []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, certificate.Subject.CommonName)
	}
	for n := 1; n <= 4; n++ {
		if want := "Amazon Root CA " + string(rune('0'+n)); !slices.Contains(subjects, want) {
			t.Errorf("%q is not among the %d authorities", want, len(subjects))
		}
	}
	if len(subjects) < 100 {
		t.Errorf("there are %d authorities: %q", len(subjects), subjects)
	}
}

// A change that is not committed would be in no commit that the version names.
// A small program in the command's place compiles sooner.
func TestChangesAreRefused(t *testing.T) {
	changed := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/small\n", "cmd/flexbuild/main.go": "package main\n\nfunc main() {}\n"} {
		file := filepath.Join(changed, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "go.mod"}, {"commit", "--quiet", "--message", "A part"}} {
		if err := git(changed, args...); err != nil {
			t.Fatal(err)
		}
	}
	into := filepath.Join(t.TempDir(), "dist")
	err := run([]string{"-platforms", platform, changed, into}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "changes that are not committed") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(into); !os.IsNotExist(err) {
		t.Errorf("files were written: %v", err)
	}
}

// This test's own binary is of no commit.
func TestBinaryWithoutACommitIsRefused(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(contentOf(t, self), v1.Platform{}); err == nil || !strings.Contains(err.Error(), "found no commit") {
		t.Errorf("got %v", err)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "old"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"1 arguments: usage":                {"."},
		"is not empty":                      {".", full},
		`platform "linux": want a system`:   {"-platforms", "linux", ".", t.TempDir()},
		"flag provided but not defined: -x": {"-x"},
	} {
		if err := run(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}

// On Windows people get a zip file.
func TestArchiveForWindows(t *testing.T) {
	b := &binary{
		platform: v1.Platform{OS: "windows", Architecture: "arm64"}, content: []byte("program"),
		info: &debug.BuildInfo{Main: debug.Module{Version: version}}, time: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
	}
	name, content, err := archive(b, []entry{{name: "LICENSE", mode: 0o644, content: []byte("free")}}, []entry{{name: "share/man/man1/flexbuild.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "flexbuild_" + version + "_windows_arm64.zip"; name != want {
		t.Errorf("the archive is called %s, want %s", name, want)
	}
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.File) != 2 || r.File[0].Name != "flexbuild.exe" || r.File[1].Name != "LICENSE" || !r.File[1].Modified.Equal(b.time) {
		t.Errorf("the archive has %+v", r.File)
	}
}
