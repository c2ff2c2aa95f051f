package standin

import (
	"context"
	"strings"
)

// noDaemon is docker's own message, for programs and people that know it.
const noDaemon = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"

func runDocker(ctx context.Context, in invocation) int {
	if len(in.args) > 0 && in.args[0] == "buildx" {
		path, found := in.real("buildx")
		if !found {
			return in.fail(1, "docker: 'buildx' is not a docker command: no buildx was found on this machine")
		}
		return in.pass(path, in.args[1:])
	}
	if path, found := in.real("docker"); found {
		return in.pass(path, in.args)
	}
	switch command := strings.Join(in.args, " "); {
	case strings.HasPrefix(command, "login "):
		return runLogin(ctx, in)
	case command == "info", command == "version":
		return in.fail(1, noDaemon)
	default:
		return in.fail(exitRefused, "docker: %v", notDone("docker "+command))
	}
}
