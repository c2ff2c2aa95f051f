package machine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// newImage makes an image of one layer. Files are named by their paths in it; a
// value that begins with "-> " is a link.
func newImage(t testing.TB, files map[string]string, config v1.Config) v1.Image {
	t.Helper()
	content := archive(t, files)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	must(t, err)
	// Without a history BuildKit would invent one, which depends on the cache.
	image, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "the test"}})
	must(t, err)
	file, err := image.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	image, err = mutate.ConfigFile(image, file)
	must(t, err)
	return image
}

// archive makes a tar archive with files, in the order of their names.
func archive(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}))
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755}
		target, link := strings.CutPrefix(files[path], "-> ")
		if link {
			header.Typeflag, header.Linkname = tar.TypeSymlink, target
		} else {
			header.Size = int64(len(files[path]))
		}
		must(t, w.WriteHeader(header))
		if !link {
			_, err := io.WriteString(w, files[path])
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

// shell returns the files of an image with a shell.
func shell(t testing.TB) map[string]string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	files := map[string]string{"/bin/busybox": readFile(t, busybox)}
	for _, applet := range []string{"sh", "cat", "date", "grep", "nc", "timeout", "true"} {
		files["/bin/"+applet] = "-> busybox"
	}
	return files
}

// withLibraries adds a program to the files of an image, with the libraries
// that it is linked with.
func withLibraries(t testing.TB, files map[string]string, as, program string) {
	t.Helper()
	files[as] = readFile(t, program)
	listed, _ := exec.Command("ldd", program).Output() // fails for a static one
	for _, library := range regexp.MustCompile(`/[^ ]+`).FindAllString(string(listed), -1) {
		files[library] = readFile(t, library)
	}
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return string(content)
}

var buildKit struct {
	sync.Mutex
	image v1.Image
}

// buildKitImage makes BuildKit's own image of this machine's files, once
// because that takes seconds.
func buildKitImage(t testing.TB) v1.Image {
	t.Helper()
	buildKit.Lock()
	defer buildKit.Unlock()
	if buildKit.image != nil {
		return buildKit.image
	}
	files := shell(t)
	withLibraries(t, files, "/usr/bin/buildkitd", program(t, "buildkitd"))
	withLibraries(t, files, "/usr/bin/buildctl", program(t, "buildctl"))
	runc, err := exec.LookPath("runc")
	must(t, err)
	withLibraries(t, files, "/usr/bin/buildkit-runc", runc)
	files[trustStore] = string(authority().root)
	buildKit.image = newImage(t, files, v1.Config{
		Entrypoint: []string{"buildkitd"},
		Env:        []string{"PATH=/usr/bin:/bin", "BUILDKIT_SETUP_CGROUPV2_ROOT=1"},
		Volumes:    map[string]struct{}{"/var/lib/buildkit": {}},
	})
	return buildKit.image
}
