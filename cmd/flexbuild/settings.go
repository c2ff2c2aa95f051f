package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// settingsFile is the name of the file with a repository's settings. The
// nearest one counts, in the working directory or above it.
const settingsFile = "flexbuild.yaml"

// settings are what a repository sets for those who build it. Flags and
// environment variables come first.
type settings struct {
	Stack     string   `yaml:"stack"`
	Tags      []string `yaml:"tags"`
	Platforms []string `yaml:"platforms"`
	Size      string   `yaml:"size"`
}

// findSettings reads the settings for a directory. They are empty if there is
// no file.
func findSettings(dir string) (settings, error) {
	for {
		name := filepath.Join(dir, settingsFile)
		text, err := os.ReadFile(name)
		switch {
		case err == nil:
			return parseSettings(name, text)
		case !errors.Is(err, fs.ErrNotExist):
			return settings{}, usagef("read the settings: %w", err)
		case dir == filepath.Dir(dir):
			return settings{}, nil
		}
		dir = filepath.Dir(dir)
	}
}

func parseSettings(name string, text []byte) (s settings, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return settings{}, usagef("%s: %w: its keys are stack, tags, platforms and size", name, err)
	}
	return s, nil
}

// withoutSettings are commands that do not read the repository's settings. They
// work beside a wrong file too.
var withoutSettings = map[string]bool{
	"env": true, "template": true, "version": true, "help": true, "completion": true, "init": true,
	cobra.ShellCompRequestCmd: true, cobra.ShellCompNoDescRequestCmd: true,
}

// readSettings reads the settings of the repository and of the environment.
func (t *target) readSettings(cmd *cobra.Command) (err error) {
	if withoutSettings[cmd.Name()] {
		return nil
	}
	if value := os.Getenv("FLEXBUILD_LOCAL"); value != "" && !cmd.Flag("local").Changed {
		if t.local, err = strconv.ParseBool(value); err != nil {
			return usagef("FLEXBUILD_LOCAL=%q: set it to true or false", value)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the settings: %w", err)
	}
	if t.settings, err = findSettings(dir); err != nil {
		return err
	}
	if t.settings.Stack != "" && os.Getenv("FLEXBUILD_STACK") == "" && !cmd.Flag("stack").Changed {
		t.stack = t.settings.Stack
	}
	return nil
}

// useSettings replaces flags of build that are not given by the settings of the
// repository.
func (o *buildOptions) useSettings(cmd *cobra.Command) {
	if !cmd.Flag("tag").Changed {
		o.tags = o.settings.Tags
	}
	if !cmd.Flag("platform").Changed {
		o.platforms = o.settings.Platforms
	}
	if !cmd.Flag("size").Changed {
		o.size = o.settings.Size
	}
}
