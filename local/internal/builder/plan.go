package builder

import (
	"errors"
	"fmt"

	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// A plan describes how builds build containers on a machine.
type plan struct {
	builder   string        // a description, for logs
	buildkitd string        // path; empty if a Docker daemon builds
	runc      string        // path, for buildkitd
	buildx    []string      // the command that drives the Docker daemon
	standIns  standin.Tools // without commands if there are no stand-ins
	variables []string
}

// plan makes a plan. It starts nothing.
func (m machine) plan(mode Mode) (plan, error) {
	var p plan
	var err error
	if m.dockerBuilds() && mode != StandIn {
		p.builder = "the Docker daemon " + m.daemon
		p.variables = m.dockerVariables
		p.buildx = []string{m.buildx}
		if m.plugin {
			p.buildx = []string{m.docker, "buildx"}
		}
	} else if p, err = m.planBuildkitd(); err != nil {
		return plan{}, err
	}
	if err := m.planDocker(mode, &p); err != nil {
		return plan{}, err
	}
	return p, m.planAWS(mode, &p)
}

// dockerBuilds reports whether a Docker daemon answers and there is a buildx to
// drive it.
func (m machine) dockerBuilds() bool { return m.daemon != "" && (m.plugin || m.buildx != "") }

const installTools = "run `make tools` in flexbuild's source, or name a folder that has it in FLEXBUILD_TOOLS"

func (m machine) planBuildkitd() (plan, error) {
	lacks, remedy := m.dockerLacks()
	switch {
	case !m.linux:
		return plan{}, fmt.Errorf("%s, and buildkitd runs on Linux only: %s", lacks, remedy)
	case !m.root:
		return plan{}, fmt.Errorf("%s, and buildkitd needs root: %s, or run the local engine as root", lacks, remedy)
	case m.denied != "":
		return plan{}, fmt.Errorf("%s, and buildkitd needs CAP_SYS_ADMIN, to mount and to make namespaces, which root may not do here (%s): "+
			"%s, or start the container that this is with --privileged", lacks, m.denied, remedy)
	case m.buildkitd == "":
		return plan{}, fmt.Errorf("%s, and there is no buildkitd: %s, or %s", lacks, remedy, installTools)
	case m.buildx == "":
		return plan{}, fmt.Errorf("buildkitd needs buildx to drive it: %s", installTools)
	case m.runc == "":
		return plan{}, errors.New("buildkitd needs runc: apt-get install runc")
	}
	return plan{builder: "buildkitd, as a child process of the engine", buildkitd: m.buildkitd, runc: m.runc}, nil
}

// dockerLacks returns why Docker cannot build here, and what to do about it.
func (m machine) dockerLacks() (lacks, remedy string) {
	switch {
	case m.daemon != "":
		return "the Docker daemon answers, but buildx is missing", "install buildx (Docker's package docker-buildx-plugin)"
	case m.silence != "":
		return fmt.Sprintf("no Docker daemon answers (%s)", m.silence), "start Docker"
	}
	return "no Docker daemon with buildx answers", "start Docker"
}

// planDocker plans a docker with buildx for builds.
func (m machine) planDocker(mode Mode, p *plan) error {
	switch {
	case mode == Machine && m.docker == "":
		return fmt.Errorf("%s is %s, but there is no docker on PATH", ModeVariable, Machine)
	case p.buildkitd == "" && m.plugin:
		return nil
	case p.buildkitd == "", mode == Machine: // the machine's docker lacks only the plugin
		p.standIns.Docker = m.docker
	}
	p.standIns.Buildx = m.buildx
	p.standIns.Commands = append(p.standIns.Commands, "docker")
	return nil
}

// planAWS plans an aws for builds that can be pointed at the engine.
func (m machine) planAWS(mode Mode, p *plan) error {
	switch {
	case mode == Machine && m.aws == "":
		return fmt.Errorf("%s is %s, but there is no aws on PATH that answers to --version", ModeVariable, Machine)
	case mode != StandIn && m.aws != "" && m.awsVersion.readsEndpoint():
		return nil
	case mode != StandIn:
		p.standIns.AWS = m.aws
	}
	p.standIns.Commands = append(p.standIns.Commands, "aws")
	return nil
}
