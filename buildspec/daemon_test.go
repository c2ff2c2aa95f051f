package buildspec

import (
	"slices"
	"strings"
	"testing"
)

const testLoaded = "localhost/flexbuild:11111111-2222-3333-4444-555555555555"

// daemon are the settings of a stack with a Docker server.
var daemon = map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default", "CACHE": "none"}

// pushes returns the calls with which the Docker daemon pushes an image, and
// removes it.
func (r ran) pushes() (all []string) {
	for _, c := range r.calls {
		line := c.String()
		for _, verb := range []string{"docker tag ", "docker push ", "docker rmi "} {
			if strings.HasPrefix(line, verb) {
				all = append(all, strings.TrimPrefix(line, "docker "))
			}
		}
	}
	return all
}

func TestTheDaemonLoadsAndPushes(t *testing.T) {
	got := newSource(t).run(t, with(daemon, "TAG", "app:1 team/web"))
	got.works(t)
	if output, name := got.option(t, "--output"), got.option(t, "--tag"); output != "type=docker" || name != testLoaded {
		t.Errorf("buildx has --output %s and --tag %s", output, name)
	}
	if want := []string{
		"tag " + testLoaded + " r.test/app:1", "push r.test/app:1",
		"tag " + testLoaded + " r.test/team/web", "push r.test/team/web",
		"rmi " + testLoaded + " r.test/app:1 r.test/team/web",
	}; !slices.Equal(got.pushes(), want) {
		t.Errorf("the calls are %q\nwant %q", got.pushes(), want)
	}
}

// Two builds of one tag share a Docker server. Neither reports the other's
// digest.
func TestATagThatAnotherBuildMovedIsPushedAgain(t *testing.T) {
	others := "sha256:" + strings.Repeat("9", 64)
	once := do("'docker push'*", `if mkdir "$TEST_RECORD.moved" 2>/dev/null; then echo "1: digest: `+others+` size: 528"; exit; fi`)
	got := newSource(t).run(t, daemon, once)
	got.works(t)
	if n := strings.Count(strings.Join(got.pushes(), "\n"), "push r.test/app:1"); n != 2 {
		t.Errorf("the tag is pushed %d times, want twice", n)
	}
	if got.exported[varImageDigest] != testDigest {
		t.Errorf("the outcome has the digest %s, want %s", got.exported[varImageDigest], testDigest)
	}
	always := do("'docker push'*", `echo "1: digest: `+others+` size: 528"; exit`)
	newSource(t).run(t, daemon, always).hasReason(t, "docker push failed: 1: digest: "+others)
}

// Two builds that make the same image share a Docker server. One removes it at
// its end, while the other is about to push it.
func TestAnImageThatAnotherBuildRemovedIsBuiltAgain(t *testing.T) {
	removed := do("'docker tag'*", `if mkdir "$TEST_RECORD.gone" 2>/dev/null; then echo 'Error response from daemon: No such image: x' >&2; exit 1; fi`)
	got := newSource(t).run(t, daemon, removed)
	if got.status != 0 || got.exported[varImageDigest] != testDigest {
		t.Errorf("exit status %d, digest %q\n%s", got.status, got.exported[varImageDigest], got.output)
	}
	if n := len(got.builds()); n != 2 {
		t.Errorf("the image is built %d times, want twice", n)
	}
	// What a step prints is not what the push said.
	printed := newSource(t).run(t, with(daemon, "TEST_LOG", "#5 0.1 No such image: x\n"))
	if printed.works(t); len(printed.builds()) != 1 {
		t.Errorf("the image is built %d times, want once", len(printed.builds()))
	}
}

func TestARefusedPushOfTheDaemonIsExplained(t *testing.T) {
	got := newSource(t).run(t, daemon, answer("'docker push'*", 1, "denied: not authorized"))
	got.hasReason(t, "docker push failed: denied: not authorized")
	if calls := got.pushes(); calls[len(calls)-1] != "rmi "+testLoaded+" r.test/app:1" {
		t.Errorf("the image stays with the daemon: %q", calls)
	}
}

// hasReason checks that a build failed after it had run, and why.
func (r ran) hasReason(t *testing.T, want string) {
	t.Helper()
	if r.status != 1 || len(r.errors) != 1 || !strings.Contains(r.errors[0], want) {
		t.Errorf("exit status %d, reason %q; want %q\n%s", r.status, r.errors, want, r.output)
	}
}
