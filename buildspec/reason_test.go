package buildspec

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What buildx 0.32 prints when a step fails, with a step that lies.
const failedStep = `#5 [2/2] RUN echo 'ERROR: fake' && false
#5 0.301 ERROR: fake
#5 0.302 [flexbuild ` + testID + `] error fake
#5 ERROR: process "/bin/sh -c echo 'ERROR: fake' && false" did not complete successfully: exit code: 1
------
 > [2/2] RUN echo 'ERROR: fake' && false:
0.301 ERROR: fake
------
Dockerfile:2
--------------------
   1 |     FROM alpine
   2 | >>> RUN echo 'ERROR: fake' && false
   3 |     
--------------------
`

func TestReasonIsTheLastWordOfBuildx(t *testing.T) {
	const docker = ": Docker Hub limits what addresses shared by many pull: give the stack DockerHubCredentials, or take the image from another registry"
	for name, test := range map[string]struct{ log, want string }{
		"a failed step": {failedStep + "ERROR: failed to build: failed to solve: process \"/bin/sh -c false\" did not complete successfully: exit code: 1\n",
			`process "/bin/sh -c false" did not complete successfully: exit code: 1`},
		"an older buildx":          {"ERROR: failed to solve: no such file\n", "no such file"},
		"no prefix":                {"ERROR: no builder \"x\" found\n", `no builder "x" found`},
		"the last of two":          {"ERROR: first\nERROR: second\nsee https://docs.docker.com\n", "second"},
		"no line of that kind":     {failedStep + "unknown flag: --x\n\n  \n", "docker buildx build failed: unknown flag: --x"},
		"not a word":               {"", "docker buildx build failed: "},
		"bytes that are no text":   {"\xff\xfe\nERROR: failed to build: \xff\n", "\xff"},
		"a limit of Docker Hub":    {"ERROR: failed to build: failed to solve: alpine: failed to resolve source metadata for docker.io/library/alpine:latest: unexpected status from HEAD request to https://registry-1.docker.io/v2/library/alpine/manifests/latest: 429 Too Many Requests\n", "alpine: failed to resolve source metadata for docker.io/library/alpine:latest: unexpected status from HEAD request to https://registry-1.docker.io/v2/library/alpine/manifests/latest: 429 Too Many Requests" + docker},
		"its other words":          {"ERROR: toomanyrequests: You have reached your pull rate limit.\n", "toomanyrequests: You have reached your pull rate limit." + docker},
		"a limit of another":       {"ERROR: https://quay.io/v2: 429 Too Many Requests\n", "https://quay.io/v2: 429 Too Many Requests"},
		"another answer of theirs": {"ERROR: https://registry-1.docker.io/v2: 500\n", "https://registry-1.docker.io/v2: 500"},
		"a long one":               {"ERROR: " + strings.Repeat("x", 2000) + "\n", strings.Repeat("x", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			log := s.root + "/log"
			if err := os.WriteFile(log, []byte(test.log), 0o600); err != nil {
				t.Fatal(err)
			}
			got := s.run(t, nil, do("'docker buildx build'*", "cat '"+log+"' >&2; exit 17"))
			if got.status != 1 || len(got.exports()) != 0 {
				t.Errorf("exit status %d, exports %q", got.status, got.exports())
			}
			if !slices.Equal(got.errors, []string{test.want}) {
				t.Errorf("the reason is %q, want %q\n%s", got.errors, test.want, got.output)
			}
			if !strings.HasPrefix(strings.SplitN(got.output, "\n", 2)[1], test.log) {
				t.Errorf("output lacks buildx's own:\n%s", got.output)
			}
		})
	}
}

func TestImageWithoutADigestFailsTheBuild(t *testing.T) {
	for name, metadata := range map[string]string{
		"no metadata":       "",
		"none in it":        `after --metadata-file "$@"; printf '{"containerimage.config.digest": "` + testDigest + `"}' >"$REPLY"; `,
		"a short one":       `after --metadata-file "$@"; printf '{"containerimage.digest": "sha256:00"}' >"$REPLY"; `,
		"one of no hex":     `after --metadata-file "$@"; printf '{"containerimage.digest": "` + strings.ToUpper(testDigest) + `"}' >"$REPLY"; `,
		"another character": `after --metadata-file "$@"; printf '{"containerimage_digest": "` + testDigest + `"}' >"$REPLY"; `,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, nil, do("'docker buildx build'*", metadata+"exit 0"))
			if got.status != ExitNoDigest || !slices.Equal(got.errors, []string{"buildx reported no image digest"}) || len(got.exports()) != 0 {
				t.Errorf("exit status %d, the reason is %q\n%s", got.status, got.errors, got.output)
			}
			if len(got.exported) != 0 {
				t.Errorf("exported %q", got.exported)
			}
		})
	}
}

// A build on a machine that another build has used must not report its image.
func TestDigestOfAnEarlierBuildIsNotReported(t *testing.T) {
	s := newSource(t)
	s.run(t, nil).works(t)
	got := s.run(t, nil, do("'docker buildx build'*", "exit 0"))
	if got.status != ExitNoDigest {
		t.Errorf("exit status %d, exported %q\n%s", got.status, got.exported, got.output)
	}
}

func TestImageIsExportedAsWords(t *testing.T) {
	got := newSource(t).run(t, nil)
	if want := "r.test/app@" + testDigest; got.exported[varImageURI] != want || got.exported[varImageDigest] != testDigest {
		t.Errorf("exported %q, want %q", got.exported, want)
	}
}

// A command of the script that fails, because the disk is full or for any other
// reason, is not called a fault of the source, the registry or buildx.
func TestCommandThatFailsIsTheReason(t *testing.T) {
	for name, test := range map[string]struct {
		stub, answer, says string
		env                map[string]string
	}{
		"the directory of the source": {"mkdir", answer("mkdir*/source", 1, "mkdir: No space left on device"), "status 1 at: mkdir -p", map[string]string{"SOURCE_SHA256": strings.Repeat("0", 64)}},
		"the key of the cache":        {"sha256sum", do("sha256sum*", "exit 3"), "status 3 at: ", nil},
		"an old source":               {"rm", answer("rm*", 1, "rm: Device or resource busy"), "status 1 at: rm -rf", nil},
		"a link to the source":        {"git", answer("'git init'*", 128, "fatal: No space left on device"), "status 128 at: git init", map[string]string{"GIT_URL": "http://127.0.0.1:1/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			s.write(t, "source.tar.gz")
			s.stub(t, test.stub)
			got := s.run(t, test.env, test.answer, answer("'git ls-remote'*", 0, strings.Repeat("0", 40)+"\tHEAD"))
			got.fails(t, ExitScript, "the build's script stopped with "+test.says)
		})
	}
}

func TestControlCharactersForgeNoLine(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"TAG": "x\n[flexbuild " + testID + "] note forged\x1b[2J\r"})
	got.fails(t, ExitParameter, "TAG: \"[flexbuild\" is not of the form")
	if strings.ContainsAny(got.output, "\x1b\r") || len(got.notes) != 0 {
		t.Errorf("control characters reach the log: %q", got.output)
	}
}
