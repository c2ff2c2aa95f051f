// Package standin is docker and aws where a machine has none fit for builds:
// the engine's own executable, run under those names.
//
//	func main() {
//		standin.Main() // first: does not return when the program was started as docker or aws
//		…
//	}
//
//	err := standin.Install(dir, os.Executable(), standin.Tools{Commands: []string{"docker", "aws"}, Buildx: "/usr/bin/buildx"})
//	// PATH=dir:… of a build: its `docker buildx build` is now the real buildx, without Docker
//
// A stand-in does exactly the calls that the buildspec makes, and refuses any
// other by name:
//
//	aws ecr get-login-password      by the SDK, with its usual credentials, region and endpoint
//	aws ecr describe-repositories   of one name, and
//	aws ecr describe-images         of one tag, in JSON, as far as it shows whether they exist
//	docker login                    as docker does: tries the login at the registry, keeps it in config.json
//	docker buildx …                 the real buildx, with the same arguments
//	docker info, docker version     that there is no Docker daemon
//
// and those of buildspecs that were written for a Docker daemon:
//
//	docker build                    by buildx; the image stays in the build's home
//	docker tag, docker images       of the images there
//	docker push                     of such an image
//
// The account's registry is reached by its name on AWS too, where the engine
// serves it (registry.go): by docker login and docker push, and by BuildKit,
// whose configuration says so, for base images and caches.
//
// Where the machine does have the real command, but an aws too old to honour
// AWS_ENDPOINT_URL, or a docker without the buildx plugin, the stand-in passes
// the call on to it and mends just that.
package standin

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// exitRefused is the exit status for a call that the stand-ins do not support:
// "command line usage error" of sysexits.h.
const exitRefused = 64

// exitBroken is the exit status of a stand-in whose installation cannot be
// read: "configuration error" of sysexits.h.
const exitBroken = 78

// An invocation is one run of a stand-in.
type invocation struct {
	args   []string // without the command's name
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	registry Registry
	real     func(name string) (path string, found bool) // the machine's own tools that Install was given
	exec     func(path string, args []string) error      // becomes another program; returns only if it cannot
}

// commands are the stand-ins by the names under which they are run. They return
// the exit status.
var commands = map[string]func(context.Context, invocation) int{
	"aws":    runAWS,
	"docker": runDocker,
}

// Main acts as docker or aws, and exits, if the program was started under one
// of these names. Otherwise it returns at once. Call it first in main, and in
// TestMain of tests that run builds.
func Main() {
	run, ok := commands[filepath.Base(os.Args[0])]
	if !ok {
		return
	}
	in := invocation{
		args:   os.Args[1:],
		getenv: os.Getenv,
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		real:   realTool,
		exec:   become,
	}
	var err error
	if in.registry, err = installedRegistry(); err != nil {
		os.Exit(in.fail(exitBroken, "%s: read where the registry is: %v", os.Args[0], err))
	}
	os.Exit(run(context.Background(), in))
}

// realTool finds one of the machine's own tools beside the running stand-in.
func realTool(name string) (string, bool) {
	self, err := exec.LookPath(os.Args[0]) // os.Executable would return the engine's path
	if err != nil {
		return "", false
	}
	path, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(self), realDir, name))
	return path, err == nil
}

// pass runs a real tool in place of the stand-in.
func (in invocation) pass(path string, args []string) int {
	err := in.exec(path, args)
	return in.fail(126, "run %s: %v", path, err)
}

func (in invocation) fail(status int, format string, args ...any) int {
	fmt.Fprintf(in.stderr, format+"\n", args...)
	return status
}
