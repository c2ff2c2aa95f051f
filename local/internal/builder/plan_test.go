package builder

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// bare is a fresh machine with what `make` installs; whole also has Docker and
// a new AWS CLI.
var (
	bare = machine{linux: true, root: true, buildx: "/t/buildx", buildkitd: "/t/buildkitd", runc: "/r/runc"}

	whole = machine{
		linux: true, docker: "/u/docker", daemon: "28.2.2", plugin: true, aws: "/u/aws", awsVersion: awsVersion{2, 30},
		dockerVariables: []string{"DOCKER_HOST=unix:///run/docker.sock"},
	}
)

func with(m machine, change func(*machine)) machine {
	change(&m)
	return m
}

func TestPlanTakesWhatTheMachineHas(t *testing.T) {
	const child = "buildkitd, as a child process of the engine"
	docker := []string{"DOCKER_HOST=unix:///run/docker.sock"}
	plugin := []string{"/u/docker", "buildx"}
	both := []string{"docker", "aws"}
	cases := map[string]struct {
		machine machine
		mode    Mode
		want    plan
	}{
		"nothing but the tools": {bare, Auto, plan{builder: child, buildkitd: "/t/buildkitd", runc: "/r/runc",
			standIns: standin.Tools{Commands: both, Buildx: "/t/buildx"}}},
		"everything": {whole, Auto, plan{builder: "the Docker daemon 28.2.2", variables: docker, buildx: plugin}},
		"a daemon, buildx not its plugin": {with(whole, func(m *machine) { m.plugin, m.buildx = false, "/t/buildx" }), Auto,
			plan{builder: "the Docker daemon 28.2.2", variables: docker, buildx: []string{"/t/buildx"},
				standIns: standin.Tools{Commands: []string{"docker"}, Buildx: "/t/buildx", Docker: "/u/docker"}}},
		"a client without a daemon": {with(bare, func(m *machine) { m.docker, m.plugin = "/u/docker", true }), Auto,
			plan{builder: child, buildkitd: "/t/buildkitd", runc: "/r/runc", standIns: standin.Tools{Commands: both, Buildx: "/t/buildx"}}},
		"an old aws": {with(whole, func(m *machine) { m.awsVersion = awsVersion{2, 9} }), Auto,
			plan{builder: "the Docker daemon 28.2.2", variables: docker, buildx: plugin, standIns: standin.Tools{Commands: []string{"aws"}, AWS: "/u/aws"}}},
		"stand-ins, whatever there is": {with(bare, func(m *machine) { m.docker, m.daemon, m.plugin, m.aws = "/u/docker", "28", true, "/u/aws" }), StandIn,
			plan{builder: child, buildkitd: "/t/buildkitd", runc: "/r/runc", standIns: standin.Tools{Commands: both, Buildx: "/t/buildx"}}},
		"the machine's own, without a daemon": {with(bare, func(m *machine) { m.docker, m.aws, m.awsVersion = "/u/docker", "/u/aws", awsVersion{1, 45} }), Machine,
			plan{builder: child, buildkitd: "/t/buildkitd", runc: "/r/runc",
				standIns: standin.Tools{Commands: []string{"docker"}, Buildx: "/t/buildx", Docker: "/u/docker"}}},
	}
	for name, c := range cases {
		got, err := c.machine.plan(c.mode)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(plan{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	cases := map[string]struct {
		machine machine
		mode    Mode
		says    string
	}{
		"runc":                    {with(bare, func(m *machine) { m.runc = "" }), Auto, "apt-get install runc"},
		"buildkitd":               {with(bare, func(m *machine) { m.buildkitd = "" }), Auto, "there is no buildkitd: start Docker, or run `make tools`"},
		"buildx":                  {with(bare, func(m *machine) { m.buildx = "" }), Auto, "run `make tools`"},
		"root":                    {with(bare, func(m *machine) { m.root = false }), Auto, "start Docker, or run the local engine as root"},
		"CAP_SYS_ADMIN":           {with(bare, func(m *machine) { m.denied = "not permitted" }), Auto, "buildkitd needs CAP_SYS_ADMIN, to mount and to make namespaces, which root may not do here (not permitted)"},
		"Linux":                   {with(bare, func(m *machine) { m.linux = false }), Auto, "start Docker"},
		"a docker that is wanted": {bare, Machine, "no docker on PATH"},
		"an aws that is wanted":   {with(bare, func(m *machine) { m.docker = "/u/docker" }), Machine, "no aws on PATH"},
		"a daemon that answers":   {with(bare, func(m *machine) { m.root, m.docker, m.silence = false, "/u/docker", "permission denied" }), Auto, "no Docker daemon answers (permission denied)"},
		"a buildx for a daemon":   {with(whole, func(m *machine) { m.plugin, m.root = false, false }), Auto, "the Docker daemon answers, but buildx is missing, and buildkitd needs root: install buildx"},
	}
	for name, c := range cases {
		if _, err := c.machine.plan(c.mode); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestWhichAWSReadsItsEndpoint(t *testing.T) {
	for text, want := range map[string]bool{
		"aws-cli/1.45.11 Python/3.11.7 Linux/6.18 botocore/1.43.11":    true,
		"aws-cli/1.28.9 Python/3.8 Linux botocore/1.30":                false,
		"aws-cli/2.9.19 Python/3.11.2 Linux/6.1 source/x86_64.debian":  false,
		"aws-cli/2.13.0 Python/3.11.4 Darwin/22 exe/x86_64 prompt/off": true,
	} {
		version, ok := parseAWSVersion(text)
		if !ok || version.readsEndpoint() != want {
			t.Errorf("%s: %v %v, want %v", text, version, version.readsEndpoint(), want)
		}
	}
	if _, ok := parseAWSVersion("bash: aws: not found"); ok {
		t.Error("an error message is taken for a version")
	}
}

func TestUnknownModeIsRefused(t *testing.T) {
	t.Setenv(ModeVariable, "mine")
	if _, err := New(Options{Dir: t.TempDir()}).Environment(t.Context()); err == nil || !strings.Contains(err.Error(), `"mine"`) {
		t.Errorf("%v", err)
	}
}
