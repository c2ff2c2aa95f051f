package standin

import (
	"context"
	"strings"
)

// noDaemon is docker's own message, for programs and people that know it.
const noDaemon = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"

// dockerCommands are the commands of a docker without a daemon that the
// stand-in does itself, by name.
var dockerCommands = map[string]func(context.Context, invocation) int{
	"build":   runBuild,
	"images":  func(_ context.Context, in invocation) int { return runImages(in) },
	"info":    daemonless,
	"login":   runLogin,
	"push":    runPush,
	"tag":     func(_ context.Context, in invocation) int { return runTag(in) },
	"version": daemonless,
}

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
	if len(in.args) > 1 && in.args[0] == "image" { // docker image push is docker push
		in.args = in.args[1:]
	}
	if len(in.args) > 0 {
		if run, known := dockerCommands[in.args[0]]; known {
			return run(ctx, in)
		}
	}
	return in.fail(exitRefused, "docker: %v", notDone(strings.Join(append([]string{"docker"}, in.args...), " ")))
}

// daemonless answers docker info and docker version.
func daemonless(_ context.Context, in invocation) int {
	if len(in.args) > 1 {
		return in.fail(exitRefused, "docker: %v", notDone("docker "+strings.Join(in.args, " ")))
	}
	return in.fail(1, noDaemon)
}
