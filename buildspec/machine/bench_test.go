package machine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// BenchmarkBuild compares the buildspec's commands with docker login, docker
// build and docker push (make bench-build). Each build has a fresh machine, so
// its builder is cold. The benchmark measures the build phase: the machine and
// its Docker daemon are up when it begins.
//
//	docker-s     seconds of docker login, docker build and docker push
//	flexbuild-s  seconds of the buildspec's commands
//	times        docker-s / flexbuild-s
//	of-docker    flexbuild-s / docker-s
//	begin-s      seconds of the buildspec's commands before buildx's first line
//	docker-cpu-s, flexbuild-cpu-s, cpu-of-docker
//	             the same of processor time of all of the machine's processes
//
// With -benchtime 3x each figure is the median of three rounds. The two builds
// of a round follow each other, so that other work on the machine slows both.
func BenchmarkBuild(b *testing.B) {
	rounds := sumRounds(b)
	random := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(random)
	for name, seed := range map[string]string{
		"program-code": shell(b)["/bin/busybox"], "random-bytes": string(random),
	} {
		b.Run(name, func(b *testing.B) {
			compareCases(b, func(line int) build { return application(seed, rounds, line) })
		})
	}
}

func compareCases(b *testing.B, app func(line int) build) {
	var built *outside // where app has been built
	b.Run("first", func(b *testing.B) {
		compare(b, func() (*outside, build) {
			built = benchOutside(b)
			return built, app(0)
		})
	})
	if built == nil { // -bench has chosen other builds than the first
		built = benchOutside(b)
		byBuildspec(b, built, app(0))
	}
	b.Run("unchanged", func(b *testing.B) {
		compare(b, func() (*outside, build) { return built, app(0) })
	})
	line := 0
	b.Run("one-line-changed", func(b *testing.B) {
		compare(b, func() (*outside, build) { line++; return built, app(line) })
	})
}

// application returns a build with 20 seconds of work and 300 MB in three
// layers, and a line of source that a late and cheap step depends on. The
// layers hold copies of seed. A copy is no smaller for the one before it, which
// is farther back than the 32 kB that gzip sees.
func application(seed string, rounds, line int) build {
	return build{
		files: map[string]string{
			"Dockerfile": `FROM ` + ecrPublic + `/docker/library/alpine
COPY seed install.sh /
RUN sh /install.sh 1
RUN sh /install.sh 2
RUN sh /install.sh 3
COPY main.txt /
RUN cat /main.txt >/compiled
`,
			"seed": seed,
			"install.sh": fmt.Sprintf(`for i in $(busybox seq %d); do cat /seed; done >/layer$1
for i in $(busybox seq %d); do busybox sha256sum /layer$1; done >/sums$1
`, layerSize/len(seed)+1, rounds),
			"main.txt": fmt.Sprintf("line %d\n", line),
		},
		params: buildspec.Params{Tags: []string{"app:1"}},
	}
}

const (
	layers    = 3
	layerSize = 100_000_000 // bytes
)

// sumRounds returns how often each of the layers' steps must compute the sum of
// its file, so that all of them take 20 seconds of processor time on this
// machine.
func sumRounds(b *testing.B) int {
	b.Helper()
	size := 20 * len(shell(b)["/bin/busybox"])
	file := filepath.Join(b.TempDir(), "file")
	must(b, os.WriteFile(file, nil, 0o600))
	must(b, os.Truncate(file, int64(size)))
	cmd := exec.Command("busybox", "sha256sum", file)
	must(b, cmd.Run())
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	all := cpu.Seconds() * layers * layerSize / float64(size)
	return max(1, int(20/all+0.5))
}

// benchOutside returns an outside where the AWS CLI takes a second, as on AWS.
func benchOutside(b *testing.B) *outside {
	b.Helper()
	world := newOutside()
	world.awsTakes = time.Second
	world.publish(b, ecrPublic, "docker/library/alpine:latest", newImage(b, shell(b), v1.Config{Env: []string{"PATH=/bin"}}))
	return world
}

// compare runs the builds that next returns, each with both kinds of commands,
// and reports the medians.
func compare(b *testing.B, next func() (*outside, build)) {
	b.Helper()
	values := map[string][]float64{}
	for b.Loop() {
		world, app := next()
		docker, flexbuild := byDocker(b, benchOutside(b), app), byBuildspec(b, world, app)
		d, f := docker.took.Seconds(), flexbuild.took.Seconds()
		for unit, value := range map[string]float64{
			"docker-s": d, "flexbuild-s": f, "times": d / f, "of-docker": f / d, "begin-s": flexbuild.toBuildx.Seconds(),
			"docker-cpu-s": docker.cpu.Seconds(), "flexbuild-cpu-s": flexbuild.cpu.Seconds(),
			"cpu-of-docker": flexbuild.cpu.Seconds() / docker.cpu.Seconds(),
		} {
			values[unit] = append(values[unit], value)
		}
	}
	for unit, of := range values {
		slices.Sort(of)
		b.ReportMetric(of[len(of)/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}

// byDocker runs a build with docker login, docker build and docker push.
func byDocker(b *testing.B, world *outside, app build) result {
	b.Helper()
	image := ecr + "/" + app.params.Tags[0]
	return onFreshMachine(b, world, app, `set -eo pipefail
aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin `+ecr+`
docker build --progress plain -t `+image+` .
docker push `+image)
}

func byBuildspec(b *testing.B, world *outside, app build) result {
	b.Helper()
	return onFreshMachine(b, world, app, commands(b))
}

func onFreshMachine(b *testing.B, world *outside, app build, commands string) result {
	b.Helper()
	s := &scope{TB: b}
	defer s.end()
	r := app.runCommands(s, start(s, world), commands)
	if r.status != 0 {
		b.Fatalf("the build ended with status %d:\n%s", r.status, r.log)
	}
	return r
}

// scope is a part of a test, after which its cleanups run: the machine of a
// build goes before the next one is started.
type scope struct {
	testing.TB
	cleanups []func()
}

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}
