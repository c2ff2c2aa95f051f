package builder

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// containerName is the name of the buildx builder, a BuildKit container, that
// builds share on a Docker daemon. It and its cache stay when the engine ends.
// `docker buildx rm flexbuild` with its BUILDX_CONFIG, or `docker rm -f
// buildx_buildkit_flexbuild0`, removes it.
const containerName = "flexbuild"

// bootTimeout is the time limit of the container's first start, which pulls its
// image.
const bootTimeout = 3 * time.Minute

// A container is a BuildKit in a Docker daemon. Because it outlives a build, it
// keeps its cache. Because it is created here, it gets the host's network,
// which the registry on the loopback interface needs.
type container struct {
	buildx []string // the command, "docker buildx" or "buildx", with absolute paths
	dir    string   // the directory of buildx's builders
	env    []string
}

func newContainer(dir string, p plan) (container, error) {
	dir, err := filepath.Abs(filepath.Join(dir, "buildx"))
	if err != nil {
		return container{}, err
	}
	c := container{buildx: p.buildx, dir: dir}
	c.env = buildEnvironment(append(p.variables, "BUILDX_CONFIG="+dir)...)
	return c, os.MkdirAll(dir, 0o700)
}

// variables returns the variables that select the builder for builds. If no
// BuildKit container can be started, for example because its image cannot be
// pulled, they select the daemon itself, and why explains that.
func (c container) variables(ctx context.Context) (variables []string, why string) {
	name := containerName
	if err := c.start(ctx); err != nil {
		name, why = "default", "it starts no BuildKit container: "+err.Error()
	}
	return []string{"BUILDX_CONFIG=" + c.dir, "BUILDX_BUILDER=" + name}, why
}

func (c container) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if c.run(ctx, "inspect", containerName) != nil {
		config := filepath.Join(c.dir, "buildkitd.toml")
		if err := os.WriteFile(config, []byte(configuration("", standin.Registry{})), 0o600); err != nil {
			return err
		}
		if err := c.run(ctx, "create", "--name", containerName, "--driver", "docker-container", "--driver-opt", "network=host",
			"--driver-opt", "env."+wholeLog[0], "--driver-opt", "env."+wholeLog[1], "--buildkitd-config", config); err != nil {
			return err
		}
	}
	return c.run(ctx, "inspect", "--bootstrap", containerName)
}

// run runs a buildx command. Its error has the last line that the command
// printed.
func (c container) run(ctx context.Context, args ...string) error {
	args = append(c.buildx[1:len(c.buildx):len(c.buildx)], args...)
	cmd := exec.CommandContext(ctx, c.buildx[0], args...)
	cmd.Env = c.env
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		return fmt.Errorf("%s (%w)", text[strings.LastIndex(text, "\n")+1:], err)
	}
	return nil
}
