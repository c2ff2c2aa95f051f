package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// binary is the command for one platform. What is known of it is what the go
// command wrote into it.
type binary struct {
	platform v1.Platform
	content  []byte
	info     *debug.BuildInfo
	time     time.Time // of the commit
}

// name is that of the binary's files, without an extension.
func (b *binary) name() string {
	return fmt.Sprintf("flexbuild_%s_%s_%s", b.version(), b.platform.OS, b.platform.Architecture)
}

// version is the commit's tag, or a pseudo-version if it has none.
func (b *binary) version() string { return b.info.Main.Version }

func (b *binary) commit() string { return setting(b.info, "vcs.revision") }

// settings are those of the go command that change the bytes of a binary. An
// empty GOFLAGS would be read from Go's settings file.
var settings = []string{"CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOFLAGS=-trimpath", "GOWORK=off"}

// patience is the time limit of a go command, which may download modules.
const patience = 30 * time.Minute

// compile compiles the command in a clone. The go command reads the version
// and the commit from git, and -trimpath keeps the names of folders out.
func compile(clone, platform string) (*binary, error) {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, fmt.Errorf("platform %q: want a system and an architecture, such as linux/arm64", platform)
	}
	folder, err := os.MkdirTemp("", "flexbuild-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "flexbuild")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-mod=readonly", "-ldflags=-s -w", "-o", file, "./cmd/flexbuild")
	cmd.Dir = clone
	cmd.Env = slices.Concat(os.Environ(), settings, []string{"GOOS=" + system, "GOARCH=" + architecture})
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build for %s in %s: %w\n%s", platform, clone, err, output)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return read(content, v1.Platform{OS: system, Architecture: architecture})
}

// read returns the binary with what the go command wrote into it. A binary
// that no commit describes is refused.
func read(content []byte, platform v1.Platform) (*binary, error) {
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if setting(info, "vcs.revision") == "" {
		return nil, errors.New("the go command found no commit: make the release in a clone, which a work tree of `git worktree` is not")
	}
	if setting(info, "vcs.modified") != "false" {
		return nil, errors.New("the clone has changes that are not committed: commit or remove them")
	}
	at, err := time.Parse(time.RFC3339, setting(info, "vcs.time"))
	if err != nil {
		return nil, fmt.Errorf("time of the commit: %w", err)
	}
	return &binary{platform, content, info, at}, nil
}

func setting(info *debug.BuildInfo, key string) string {
	for _, setting := range info.Settings {
		if setting.Key == key {
			return setting.Value
		}
	}
	return ""
}
