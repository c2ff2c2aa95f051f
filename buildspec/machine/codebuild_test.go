package machine

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/versions"
)

// probe is a shell function that reports whether an address answers HTTP.
const probe = `probe() {
  if printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 nc $1 $2 | grep -q HTTP/; then echo "$1:$2 answers"; else echo "$1:$2 is closed"; fi
}
`

// hello returns a build with every kind of base image: an official one, a
// frontend and an organisation's. One of its steps gives another result each
// time, and one tries to reach the role's credentials.
func hello() build {
	return build{
		files: map[string]string{"Dockerfile": `# syntax=docker/dockerfile:1
FROM alpine
COPY --from=acme/tool:1 /tool /tool
RUN date >/built
COPY probe.sh /
RUN sh /probe.sh
`, "probe.sh": probe + `probe 127.0.0.1 2375
probe 172.17.0.1 2375
probe 198.51.100.2 2375
probe 169.254.170.2 80
probe 169.254.169.254 80
if [ -n "$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" ]; then echo "the path of the credentials answers"; fi
`},
		params: buildspec.Params{Tags: []string{"hello:1"}},
	}
}

func TestTheMachineIsLikeCodeBuilds(t *testing.T) {
	t.Parallel()
	m := start(t, newOutside())
	info := m.run(t, "docker", "info")
	for _, want := range []string{"Server Version: " + strings.TrimSuffix(versions.Of("github.com/docker/docker")[1:], "+incompatible"), "Storage Driver: overlay2"} {
		if !strings.Contains(info, want) {
			t.Errorf("docker info has no %q:\n%s", want, info)
		}
	}
	if version := m.run(t, "docker", "buildx", "version"); !strings.Contains(version, " "+versions.Of("github.com/docker/buildx")+" ") {
		t.Errorf("buildx is %s", version)
	}
	if got := m.run(t, "stat", "--file-system", "--format=%T", "/root"); got != "overlayfs\n" {
		t.Errorf("the home directory is on %s", got)
	}
	// What a RUN step must not reach, the machine does.
	open := m.run(t, "busybox", "sh", "-c", probe+"probe 127.0.0.1 2375; probe 169.254.170.2 80; probe 169.254.169.254 80")
	if want := "127.0.0.1:2375 answers\n169.254.170.2:80 answers\n169.254.169.254:80 answers\n"; open != want {
		t.Errorf("on the machine:\n%s", open)
	}
	if out, err := m.command(t, "docker", "pull", "alpine").CombinedOutput(); !strings.Contains(string(out), "toomanyrequests") {
		t.Errorf("a pull from Docker Hub: %v\n%s", err, out)
	}
}

func TestMachinesOwnBuildKit(t *testing.T) {
	t.Parallel()
	world := newOutside()
	world.publishBases(t, ecrPublic, "docker/", mirror, "")
	m := start(t, world)
	first := hello().succeed(t, m)
	if first.driver() != "remote" || first.notes() != nil {
		t.Errorf("built by the driver %q, with the notes %q", first.driver(), first.notes())
	}
	if ran, cached := first.steps(); len(ran) != 4 || cached != nil {
		t.Errorf("steps that ran: %q, cached: %q", ran, cached)
	}
	expectClosed(t, first)
	expectNothingLeft(t, m)
	fresh := start(t, world)
	for range 2 {
		expectSame(t, first, hello().succeed(t, fresh))
	}
	world.expectImage(t, first)
	world.expectNoDockerHub(t)
	expectLimitExplained(t, fresh)
}

// Without Finch, or with a BuildKit that does not work, a build uses the next
// builder and writes a note.
func TestStepsDown(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(t *testing.T, files string)
		buildKit bool // its image is on the mirror
		driver   string
		notes    []string // what each note begins with
	}{
		"to BuildKit's image": {
			change: removeFinch, buildKit: true, driver: "docker-container",
		},
		"from a BuildKit that does not start": {
			change: replaceFinch("echo no kernel for me >&2; exit 1"), buildKit: true, driver: "docker-container",
			notes: []string{"the machine's own BuildKit is not used: no kernel for me"},
		},
		"from a BuildKit with a slow snapshotter": {
			change: replaceFinch(`exec ` + finch + `/buildkitd.real --oci-worker-snapshotter=native "$@"`), buildKit: true, driver: "docker-container",
			notes: []string{"the machine's own BuildKit is not used: its snapshotter is not overlayfs"},
		},
		"to the daemon": {
			change: removeFinch, driver: "docker",
			notes: []string{"no container of " + mirror + "/moby/buildkit:buildx-stable-1 starts", "no BuildKit container starts, so the Docker daemon builds", "this builder cannot export a cache to a registry"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newOutside()
			world.publishBases(t, ecrPublic, "docker/", mirror, "")
			if c.buildKit {
				world.publishBuildKit(t, mirror, "moby/buildkit:buildx-stable-1")
			}
			change := func(files string) { c.change(t, files) }
			m := start(t, world, change)
			first := hello().succeed(t, m)
			if first.driver() != c.driver {
				t.Errorf("built by the driver %q, not by %q\n%s", first.driver(), c.driver, first.log)
			}
			if !slices.EqualFunc(first.notes(), c.notes, strings.HasPrefix) {
				t.Errorf("notes: %q, not %q", first.notes(), c.notes)
			}
			world.expectImage(t, first)
			expectClosed(t, first)
			expectNothingLeft(t, m)
			if strings.HasPrefix(name, "to ") {
				expectSame(t, first, hello().succeed(t, start(t, world, change)))
			}
			if c.buildKit { // else Docker Hub is asked for its image, last
				world.expectNoDockerHub(t)
			}
			expectLimitExplained(t, m)
		})
	}
}

func TestLoginToECRPublic(t *testing.T) {
	t.Parallel()
	world := newOutside()
	world.publishBases(t, ecrPublic, "docker/", mirror, "")
	m := start(t, world)
	if r := hello().succeed(t, m); r.notes() != nil || !world.wasAsked("public.ecr.aws as AWS") || world.wasAsked("public.ecr.aws as nobody") {
		t.Errorf("notes: %q; pulls were anonymous: %v", r.notes(), world.wasAsked("public.ecr.aws as nobody"))
	}
	m.run(t, "rm", "-r", "/root/.docker")
	world.fail("ecr-public get-login-password", refused)
	r := hello().succeed(t, m)
	if notes := r.notes(); len(notes) != 1 || !strings.Contains(notes[0], "AccessDeniedException") {
		t.Errorf("a refused login is one note, not %q", notes)
	}
}

// A stack in a VPC may reach nothing but ECR, whose pull-through caches have
// what it builds from.
func TestVPCThatReachesOnlyECR(t *testing.T) {
	for driver, c := range map[string]struct {
		change   func(*testing.T, string)
		buildKit bool
	}{
		"remote":           {keepFinch, false},
		"docker-container": {removeFinch, true},
		"docker":           {removeFinch, false},
	} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			world := newOutside()
			world.reachable = []string{ecr}
			world.publishBases(t, ecr, "docker-hub/", ecr, "docker-hub/")
			if c.buildKit {
				world.publishBuildKit(t, ecr, "docker-hub/moby/buildkit:buildx-stable-1")
			}
			world.fail("ecr-public get-login-password", unanswered)
			m := start(t, world, func(files string) { c.change(t, files) })
			r := hello().with("MIRRORS", "docker.io="+ecr+"/docker-hub").succeed(t, m)
			if r.driver() != driver {
				t.Errorf("built by the driver %q\n%s", r.driver(), r.log)
			}
		})
	}
}

// RUN steps of another architecture need the emulators in BuildKit's own image,
// so it goes before the machine's own BuildKit.
func TestOtherArchitecture(t *testing.T) {
	t.Parallel()
	world := newOutside()
	platform := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	b := build{
		files:  map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"},
		params: buildspec.Params{Tags: []string{"hello:1"}, Platforms: []string{platform}},
	}
	m := start(t, world)
	r := b.succeed(t, m)
	if notes := r.notes(); r.driver() != "remote" || len(notes) != 2 || !strings.Contains(notes[1], platform) {
		t.Errorf("without emulators, built by the driver %q with the notes %q", r.driver(), notes)
	}
	world.publishBuildKit(t, mirror, "moby/buildkit:buildx-stable-1")
	r = b.succeed(t, m)
	if r.driver() != "docker-container" || r.notes() != nil {
		t.Errorf("built by the driver %q with the notes %q", r.driver(), r.notes())
	}
	world.expectImage(t, r)
}

// With SOURCE_DATE_EPOCH and no cache, two machines make the same image, bit
// for bit.
func TestSourceDateEpoch(t *testing.T) {
	t.Parallel()
	world := newOutside()
	world.publishBases(t, ecrPublic, "docker/", mirror, "")
	b := build{
		files: map[string]string{"Dockerfile": "FROM alpine\nCOPY file /\nRUN echo hello >/hello\n", "file": "text"},
		params: buildspec.Params{
			Tags: []string{"hello:1"}, Cache: buildspec.CacheNone,
			BuildArgs: map[string]string{"SOURCE_DATE_EPOCH": "1700000000"},
		},
	}
	first, second := b.succeed(t, start(t, world)), b.succeed(t, start(t, world))
	if first.digest != second.digest {
		t.Errorf("digests %s and %s of one source", first.digest, second.digest)
	}
}

// expectSame checks that a rebuild on a fresh machine ran no step and gave the
// same image.
func expectSame(t *testing.T, first, again result) {
	t.Helper()
	if ran, cached := again.steps(); ran != nil || len(cached) != 4 {
		t.Errorf("on a fresh machine, steps that ran: %q, cached: %q\n%s", ran, cached, again.log)
	}
	if again.digest != first.digest {
		t.Errorf("the digest was %s, and is %s on a fresh machine", first.digest, again.digest)
	}
}

// expectLimitExplained checks what a build says about an image that no mirror
// has, so that it comes from Docker Hub, which refuses.
func expectLimitExplained(t *testing.T, m *machine) {
	t.Helper()
	b := build{
		files:  map[string]string{"Dockerfile": "FROM acme/unknown\n"},
		params: buildspec.Params{Tags: []string{"hello:2"}},
	}
	r := b.run(t, m)
	if reasons := r.said("error"); r.status != 1 || len(reasons) != 1 || !strings.Contains(reasons[0], "DockerHubCredentials") {
		t.Errorf("status %d, errors %q:\n%s", r.status, reasons, r.log)
	}
}

// expectNothingLeft checks that the build has removed its builder.
func expectNothingLeft(t *testing.T, m *machine) {
	t.Helper()
	left := m.run(t, "bash", "-c", "docker ps --all --quiet; docker volume ls --quiet; docker buildx ls --format '{{.Name}}' | grep flexbuild || true")
	if left != "" {
		t.Errorf("the build leaves containers, volumes or builders:\n%s", left)
	}
}

// expectImage checks that what the build pushed is an image, not an index, and
// has the digest that the build exported.
func (o *outside) expectImage(t *testing.T, r result) {
	t.Helper()
	pushed := o.published(t, ecr, "hello:1")
	if !pushed.MediaType.IsImage() || pushed.Digest.String() != r.digest {
		t.Errorf("pushed a %s with digest %s; the build said %q", pushed.MediaType, pushed.Digest, r.digest)
	}
}

func (o *outside) expectNoDockerHub(t *testing.T) {
	t.Helper()
	if o.wasAsked(dockerHub) || o.wasAsked(dockerHubLogin) {
		t.Errorf("Docker Hub was asked")
	}
}

// expectClosed checks that no step reached the Docker daemon's open port or the
// credentials of the build's role.
func expectClosed(t *testing.T, r result) {
	t.Helper()
	said := firsts(regexp.MustCompile(`(?m)^#\d+ [\d.]+ (\S+) is closed`), r.log)
	if want := []string{"127.0.0.1:2375", "172.17.0.1:2375", "198.51.100.2:2375", "169.254.170.2:80", "169.254.169.254:80"}; !slices.Equal(said, want) {
		t.Errorf("of %q, RUN steps cannot reach %q only", want, said)
	}
	if open := firsts(regexp.MustCompile(`(?m)^#\d+ [\d.]+ (.*) answers`), r.log); open != nil {
		t.Errorf("RUN steps reach %q", open)
	}
}

func keepFinch(*testing.T, string) {}

func removeFinch(t *testing.T, files string) {
	t.Helper()
	must(t, os.RemoveAll(files+finch))
}

// replaceFinch puts a shell script in the place of Finch's buildkitd.
func replaceFinch(script string) func(*testing.T, string) {
	return func(t *testing.T, files string) {
		t.Helper()
		must(t, os.Rename(files+finch+"/buildkitd", files+finch+"/buildkitd.real"))
		must(t, os.WriteFile(files+finch+"/buildkitd", []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
}

// The content of a secret is not part of a step's cache key. So a caller's
// secret must not decide what another caller's build gets from the cache.
func TestCallersDoNotShareACache(t *testing.T) {
	t.Parallel()
	world := newOutside()
	world.publishBases(t, ecrPublic, "docker/", mirror, "")
	of := func(caller, secret string) build {
		return build{
			files: map[string]string{"Dockerfile": "FROM alpine\n" +
				"RUN --mount=type=secret,id=s wc -c </run/secrets/s >/length && echo \"its length is $(cat /length)\"\n"},
			params: buildspec.Params{Tags: []string{"hello:1"}},
			env:    map[string]string{"CODEBUILD_INITIATOR": caller, "SECRETS": "s", "SECRET_s": secret},
		}
	}
	of("stranger/session", "evil").succeed(t, start(t, world))
	first := of("mine/session", "hunter2").succeed(t, start(t, world))
	if ran, cached := first.steps(); len(ran) != 1 || cached != nil || !strings.Contains(first.log, "its length is 7") {
		t.Errorf("after another caller's build, steps that ran: %q, cached: %q\n%s", ran, cached, first.log)
	}
	again := of("mine/another", "hunter2").succeed(t, start(t, world))
	if ran, cached := again.steps(); ran != nil || len(cached) != 1 || again.digest != first.digest {
		t.Errorf("after the caller's own build, steps that ran: %q, cached: %q", ran, cached)
	}
}
