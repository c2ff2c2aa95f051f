package builder

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// containerName is the buildx builder, a BuildKit container, that the builds on a Docker daemon share. It and its
// cache stay when the engine ends: `docker buildx rm flexbuild` by its BUILDX_CONFIG, or `docker rm -f
// buildx_buildkit_flexbuild0`, removes it.
const containerName = "flexbuild"

// bootTimeout bounds the container's first start, which pulls its image.
const bootTimeout = 3 * time.Minute

// A container is a BuildKit in a Docker daemon. One that lives longer than a build keeps its cache, and being made here
// it gets what the registry on the loopback interface takes: the host's network.
type container struct {
	buildx []string // the command, "docker buildx" or "buildx", with absolute paths
	dir    string   // where buildx keeps its builders
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

// variables tell builds which builder to use. Where no BuildKit container can be started, as on a machine that cannot
// pull its image, they name the daemon itself, and why says so.
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
		if err := os.WriteFile(config, []byte(configuration("")), 0o600); err != nil {
			return err
		}
		if err := c.run(ctx, "create", "--name", containerName, "--driver", "docker-container", "--driver-opt", "network=host",
			"--driver-opt", "env."+wholeLog[0], "--driver-opt", "env."+wholeLog[1], "--buildkitd-config", config); err != nil {
			return err
		}
	}
	return c.run(ctx, "inspect", "--bootstrap", containerName)
}

// run runs a buildx command; its error has the last line that the command printed.
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
