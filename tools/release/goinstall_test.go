package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const mainModule = "github.com/codebuild-flex/flexbuild"

// `go install` of a version, from a proxy of files which has that version and
// nothing else: the dependencies come from the module cache. go.mod may not
// replace modules, or this fails for everybody.
func TestGoInstallOfAVersion(t *testing.T) {
	from, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	publish(t, from, proxy)
	output, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	bin, modules := t.TempDir(), cacheWithoutFlexbuild(t, strings.TrimSpace(string(output)))
	cmd := exec.Command("go", "install", mainModule+"/cmd/flexbuild@"+version)
	cmd.Dir = t.TempDir() // in no module
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOMODCACHE="+modules, "GOPROXY=file://"+proxy,
		"GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOFLAGS=-trimpath -modcacherw")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, output)
	}
	said, err := exec.Command(filepath.Join(bin, "flexbuild"), "version").CombinedOutput()
	if want := "flexbuild " + version + ", contract "; err != nil || !strings.HasPrefix(string(said), want) {
		t.Errorf("flexbuild version says %q (%v), want %q", said, err, want)
	}
}

// cacheWithoutFlexbuild returns a module cache that has the modules of another
// one, by links, and none of this project.
func cacheWithoutFlexbuild(t *testing.T, from string) string {
	t.Helper()
	cache := t.TempDir()
	for _, folder := range []string{".", "github.com", "cache/download", "cache/download/github.com"} {
		if err := os.MkdirAll(filepath.Join(cache, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(from, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if slices.Contains([]string{"cache", "github.com", "codebuild-flex"}, entry.Name()) {
				continue
			}
			if err := os.Symlink(filepath.Join(from, folder, entry.Name()), filepath.Join(cache, folder, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cache
}

// publish writes what a module proxy serves of a version: the zip file of the
// repository's commit, without the modules below it, and go.mod.
func publish(t *testing.T, repository, proxy string) {
	t.Helper()
	folder := filepath.Join(proxy, mainModule, "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": fmt.Appendf(nil, `{"Version": %q, "Time": "2026-01-02T03:04:05Z"}`, version),
		version + ".mod":  contentOf(t, filepath.Join(repository, "go.mod")),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := zip.CreateFromVCS(file, module.Version{Path: mainModule, Version: version}, repository, "HEAD", ""); err != nil {
		t.Fatal(err)
	}
}
