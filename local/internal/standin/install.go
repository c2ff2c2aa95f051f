package standin

import (
	"fmt"
	"os"
	"path/filepath"
)

// realDir is the folder, inside that of the stand-ins, with links to the
// machine's own tools. It is not on PATH.
const realDir = ".real"

// Tools are the stand-ins to install, and the machine's own tools that they may
// use. Paths are absolute.
type Tools struct {
	Commands []string // "docker", "aws" or both
	Buildx   string   // what docker buildx runs; required for docker
	Docker   string   // a docker for everything but buildx; empty if there is none
	AWS      string   // an aws that needs --endpoint-url; empty if there is none
	Registry Registry // where the account's registry is; zero if it is where its name says
}

// Install makes dir a folder of stand-ins, which are links to exe, the program
// that calls Main. Put dir first on a build's PATH. Install replaces what an
// earlier Install left there.
func Install(dir, exe string, tools Tools) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("install stand-ins: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, realDir), 0o755); err != nil {
		return fmt.Errorf("install stand-ins: %w", err)
	}
	links := map[string]string{
		filepath.Join(realDir, "buildx"): tools.Buildx,
		filepath.Join(realDir, "docker"): tools.Docker,
		filepath.Join(realDir, "aws"):    tools.AWS,
	}
	for _, command := range tools.Commands {
		if _, known := commands[command]; !known {
			return fmt.Errorf("there is no stand-in for %q, only for docker and aws", command)
		}
		links[command] = exe
	}
	for name, target := range links {
		if target == "" {
			continue
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("install stand-ins: %w", err)
		}
	}
	if err := tools.Registry.install(dir); err != nil {
		return fmt.Errorf("install stand-ins: %w", err)
	}
	return nil
}
