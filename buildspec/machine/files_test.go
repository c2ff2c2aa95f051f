package machine

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

const trustStore = "/etc/ssl/certs/ca-certificates.crt"

// program returns the path of a program that tools/install.sh compiled.
func program(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	tools := cmp.Or(os.Getenv("FLEXBUILD_TOOLS"), filepath.Join(cache, "flexbuild/bin"))
	path := filepath.Join(tools, "machine", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run: tools/install.sh machine", err)
	}
	return path
}

// install puts into dir the files that a machine has of its own.
func install(t testing.TB, dir string) {
	t.Helper()
	// What this machine has there must not show.
	for _, hidden := range []string{"/root", "/home", "/tmp", "/etc/docker", "/etc/buildkit", "/usr/libexec/finch", "/var/lib", "/mnt"} {
		must(t, os.MkdirAll(dir+hidden, 0o755))
		must(t, unix.Setxattr(dir+hidden, "trusted.overlay.opaque", []byte("y"), 0))
	}
	must(t, os.Chmod(dir+"/tmp", 0o1777))
	must(t, os.Mkdir(dir+"/var/lib/docker", 0o710))
	for name, from := range map[string]string{
		"/usr/local/bin/dockerd":                          program(t, "dockerd"),
		"/usr/local/bin/docker-proxy":                     program(t, "docker-proxy"),
		"/usr/local/bin/docker":                           program(t, "docker"),
		"/usr/local/lib/docker/cli-plugins/docker-buildx": program(t, "buildx"),
		finch + "/buildkitd":                              program(t, "buildkitd"),
		"/usr/local/bin/aws":                              "testdata/aws",
		"/usr/local/bin/dockerd-entrypoint.sh":            "testdata/dockerd-entrypoint.sh",
	} {
		must(t, os.MkdirAll(filepath.Dir(dir+name), 0o755))
		if out, err := exec.Command("cp", "--reflink=auto", from, dir+name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, content := range map[string]string{
		"/etc/hosts":       "127.0.0.1 localhost\n",
		"/etc/resolv.conf": "nameserver " + outsideAddress + "\n",
		trustStore:         string(authority().root),
	} {
		must(t, os.MkdirAll(filepath.Dir(dir+name), 0o755))
		must(t, os.WriteFile(dir+name, []byte(content), 0o644))
	}
}

// finch is where the standard images of Amazon Linux have a BuildKit.
const finch = "/usr/libexec/finch"
