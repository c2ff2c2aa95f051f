package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// legal are the names of files whose text must be given to whoever gets a
// program that contains the module.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// notices returns the licences of what a binary contains: Go's library and the
// modules. A module without a licence is refused.
func notices(clone string, info *debug.BuildInfo) ([]byte, error) {
	root, err := goCommand(clone, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	text, err := notice("Go "+info.GoVersion, string(bytes.TrimSpace(root)))
	if err != nil {
		return nil, err
	}
	downloads, err := download(clone, info.Deps)
	if err != nil {
		return nil, err
	}
	for _, m := range downloads {
		part, err := notice(m.Path+" "+m.Version, m.Dir)
		if err != nil {
			return nil, err
		}
		text = append(text, part...)
	}
	return text, nil
}

type downloaded struct{ Path, Version, Dir string }

// download returns the folders of modules, which the go command downloads if
// they are not in its cache.
func download(clone string, modules []*debug.Module) (all []downloaded, err error) {
	args := []string{"mod", "download", "-json"}
	for _, m := range modules {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: a release contains what go.mod requires", m.Path, m.Replace.Path)
		}
		args = append(args, m.Path+"@"+m.Version)
	}
	output, err := goCommand(clone, args...)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var m downloaded
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go mod download -json: %w", err)
		}
		all = append(all, m)
	}
}

// goCommand runs the go command in a clone and returns what it prints.
func goCommand(clone string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = clone
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args[:2], " "), err, output)
	}
	return output, nil
}

func notice(title, folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, entry := range entries {
		if !legal.MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "==== %s: %s ====\n\n%s\n\n", title, entry.Name(), bytes.TrimSpace(content))
	}
	if text.Len() == 0 {
		return nil, fmt.Errorf("%s has no licence in %s: a release may not contain it", title, folder)
	}
	return text.Bytes(), nil
}
