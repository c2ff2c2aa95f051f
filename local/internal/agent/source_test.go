package agent

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// A repository is served by git's own HTTP backend.
type repository struct {
	dir string
	url string
}

func silentServer(t *testing.T, asked chan<- struct{}) string {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL + "/r.git"
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	root := t.TempDir()
	r := &repository{dir: filepath.Join(root, "r.git")}
	must(t, os.Mkdir(r.dir, 0o755))
	core, err := exec.Command("git", "--exec-path").Output()
	must(t, err)
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	t.Cleanup(server.Close)
	r.url = server.URL + "/r.git"
	r.git(t, "init", "--quiet", "--initial-branch=main")
	return r
}

func (r *repository) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=n", "-c", "user.email=e@x", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit in which the file "content" has the text, and returns
// its hash.
func (r *repository) commit(t *testing.T, text string) string {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(r.dir, "content"), []byte(text), 0o644))
	r.git(t, "add", ".")
	r.git(t, "commit", "--quiet", "-m", text)
	return r.git(t, "rev-parse", "HEAD")
}

const showSource = "version: 0.2\nphases: {build: {commands: ['echo content=$(cat content) commits=$(git rev-list --count HEAD) resolved=$CODEBUILD_RESOLVED_SOURCE_VERSION url=$CODEBUILD_SOURCE_REPO_URL']}}"

func TestVersionsOfARepository(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	first := r.commit(t, "first")
	r.git(t, "tag", "-a", "v1", "-m", "annotated")
	r.git(t, "tag", "both")
	r.git(t, "update-ref", "refs/pull/7/head", first)
	r.git(t, "checkout", "--quiet", "-b", "feature/x")
	feature := r.commit(t, "feature")
	r.git(t, "checkout", "--quiet", "-b", "both")
	both := r.commit(t, "both")
	r.git(t, "checkout", "--quiet", "main")
	main := r.commit(t, "main")
	for version, want := range map[string]struct{ content, commit string }{
		"":                                {"main", main},
		"main":                            {"main", main},
		"feature/x":                       {"feature", feature},
		"v1":                              {"first", first},
		"both":                            {"both", both}, // the branch, not the tag
		"pr/7":                            {"first", first},
		"refs/pull/7/head":                {"first", first},
		first:                             {"first", first},
		feature[:10]:                      {"feature", feature},
		"refs/heads/main^{" + first + "}": {"first", first},
	} {
		t.Run("version "+version, func(t *testing.T) {
			edits := []edit{source(types.SourceTypeGithub, r.url), buildspec(showSource)}
			if version != "" {
				edits = append(edits, sourceVersion(version))
			}
			build := b.run(t, edits...)
			build.want(t, types.StatusTypeSucceeded, "content="+want.content+" ", "resolved="+want.commit+" url="+r.url)
			if aws.ToString(build.ResolvedSourceVersion) != want.commit {
				t.Errorf("resolvedSourceVersion = %s", aws.ToString(build.ResolvedSourceVersion))
			}
		})
	}
	t.Run("depth", func(t *testing.T) {
		build := b.run(t, source(types.SourceTypeGithub, r.url), buildspec(showSource), func(in *sdk.StartBuildInput) { in.GitCloneDepthOverride = aws.Int32(1) })
		build.want(t, types.StatusTypeSucceeded, "commits=1 ")
	})
}

func TestRepositoryInSHA256Format(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	must(t, os.RemoveAll(filepath.Join(r.dir, ".git")))
	r.git(t, "init", "--quiet", "--initial-branch=main", "--object-format=sha256")
	commit := r.commit(t, "first")
	r.commit(t, "second")
	b.run(t, source(types.SourceTypeGithub, r.url), buildspec(showSource)).want(t, types.StatusTypeSucceeded, "content=second ")
	b.run(t, source(types.SourceTypeGithub, r.url), buildspec(showSource), sourceVersion(commit)).want(t, types.StatusTypeSucceeded, "content=first ", "resolved="+commit)
}

// The umask is the process's: no test of this package runs beside another.
func TestFilesDoNotFollowTheUmaskOfWhoStartedTheEngine(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	must(t, os.WriteFile(filepath.Join(r.dir, "tool"), nil, 0o755))
	r.commit(t, "first")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	build := b.run(t, source(types.SourceTypeGithub, r.url), buildspec(`version: 0.2
phases: {build: {commands: ['umask 000', 'touch made; stat -c "%n=%a" content tool made']}}`))
	build.want(t, types.StatusTypeSucceeded, "\ncontent=644\ntool=755\nmade=644\n")
}

func TestSourcesThatCannotBeHad(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	r.commit(t, "first")
	empty, headless := newRepository(t), newRepository(t)
	headless.commit(t, "first")
	headless.git(t, "symbolic-ref", "HEAD", "refs/heads/gone")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, map[string]string{"/line.git": "<html>", "/lines.git": "<html>\n</html>\n", "/tab.git": "<p>\there</p>\n"}[strings.TrimSuffix(r.URL.Path, "/info/refs")])
	}))
	defer page.Close()
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer forbidding.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer private.Close()
	for name, c := range map[string]struct{ url, version, want string }{
		"no repository":         {r.url + "x", "", "CLIENT_ERROR: repository not found (git ls-remote failed: repository '" + r.url + "x/' not found) for primary source"},
		"a private one":         {private.URL + "/r.git", "main", "CLIENT_ERROR: authentication required (git ls-remote failed: could not read Username for '" + private.URL + "': terminal prompts disabled) for primary source and source version main"},
		"a web page":            {page.URL + "/line.git", "", "CLIENT_ERROR: not a git repository for primary source"},
		"a web page with lines": {page.URL + "/lines.git", "", "CLIENT_ERROR: not a git repository (git ls-remote failed: "},
		"a web page with a tab": {page.URL + "/tab.git", "", "CLIENT_ERROR: not a git repository (git ls-remote failed: "},
		"no page":               {page.URL + "/none.git", "", "CLIENT_ERROR: not a git repository for primary source"},
		"forbidden":             {forbidding.URL + "/r.git", "", "CLIENT_ERROR: authorization failed (git ls-remote failed: unable to access '" + forbidding.URL + "/r.git/': The requested URL returned error: 403) for primary source"},
		"nobody there":          {gone.URL + "/r.git", "", "CLIENT_ERROR: repository not reachable (git ls-remote failed: "},
		"an empty one":          {empty.url, "", "CLIENT_ERROR: remote repository is empty for primary source"},
		"no HEAD":               {headless.url, "", "CLIENT_ERROR: reference not found: HEAD of the repository names a branch that is not there for primary source"},
		"no branch":             {r.url, "nope", "CLIENT_ERROR: reference not found for primary source and source version nope"},
		"no commit":             {r.url, strings.Repeat("a", 40), "CLIENT_ERROR: reference not found for primary source and source version " + strings.Repeat("a", 40)},
		"no pull request":       {r.url, "pr/8", "CLIENT_ERROR: reference not found for primary source and source version pr/8"},
		"an option":             {r.url, "--upload-pack=touch /tmp/x", "CLIENT_ERROR: reference not found for primary source and source version --upload-pack=touch /tmp/x"},
		"a refspec":             {r.url, "main:refs/heads/other", "CLIENT_ERROR: reference not found for primary source"},
	} {
		t.Run(name, func(t *testing.T) {
			edits := []edit{source(types.SourceTypeGithub, c.url), buildspec(showSource)}
			if c.version != "" {
				edits = append(edits, sourceVersion(c.version))
			}
			build := b.run(t, edits...)
			build.want(t, types.StatusTypeFailed, strings.TrimPrefix(c.want, "CLIENT_ERROR: "))
			if !strings.HasPrefix(build.context(), c.want) || !strings.HasSuffix(build.phases(), "DOWNLOAD_SOURCE:FAILED FINALIZING:SUCCEEDED COMPLETED:") {
				t.Errorf("context = %s\nphases = %s", build.context(), build.phases())
			}
		})
	}
}

func TestGitNeitherRunsHooksNorReadsFiles(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	secret := newRepository(t)
	secret.commit(t, "secret")
	r.git(t, "submodule", "--quiet", "add", secret.dir, "local")
	r.commit(t, "first")
	build := b.run(t, source(types.SourceTypeGithub, r.url), buildspec(showSource), func(in *sdk.StartBuildInput) {
		in.GitSubmodulesConfigOverride = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
	})
	build.want(t, types.StatusTypeFailed)
	if !strings.Contains(build.context(), "transport 'file' not allowed") {
		t.Errorf("context = %s", build.context())
	}
}

func TestSubmodules(t *testing.T) {
	b, r, sub := newBench(t), newRepository(t), newRepository(t)
	sub.commit(t, "sub")
	r.git(t, "submodule", "--quiet", "add", sub.url, "sub")
	r.commit(t, "first")
	spec := buildspec("version: 0.2\nphases: {build: {commands: ['echo sub=$(cat sub/content)']}}")
	with := func(in *sdk.StartBuildInput) {
		in.GitSubmodulesConfigOverride = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
	}
	b.run(t, source(types.SourceTypeGithub, r.url), spec, with).want(t, types.StatusTypeSucceeded, "\nsub=sub\n")
	b.run(t, source(types.SourceTypeGithub, r.url), spec).want(t, types.StatusTypeSucceeded, "\nsub=\n")
}

func TestBuildspecsOfTheSource(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	must(t, os.MkdirAll(filepath.Join(r.dir, "ci"), 0o755))
	must(t, os.WriteFile(filepath.Join(r.dir, "buildspec.yml"), []byte("version: 0.2\nphases: {build: {commands: [echo default]}}"), 0o644))
	must(t, os.WriteFile(filepath.Join(r.dir, "ci/other.yml"), []byte("version: 0.2\nphases: {build: {commands: [echo other]}}"), 0o644))
	must(t, os.WriteFile(filepath.Join(r.dir, "broken.yml"), []byte("version: 0.2\nphases: [a, b\nc: d"), 0o644))
	must(t, os.Symlink("/etc/hostname", filepath.Join(r.dir, "link.yml")))
	r.commit(t, "first")
	for path, want := range map[string]string{"": "\ndefault\n", "ci/other.yml": "\nother\n", "./ci/other.yml": "\nother\n"} {
		b.run(t, source(types.SourceTypeGithub, r.url), buildspec(path)).want(t, types.StatusTypeSucceeded, want, "YAML location is ")
	}
	for path, want := range map[string]string{
		"nope.yml":         "/src/nope.yml: no such file or directory",
		"broken.yml":       "did not find expected ',' or ']' at line ",
		"../../etc/passwd": "path escapes from parent",
		"link.yml":         "path escapes from parent",
		"ci":               "ci is not a file",
	} {
		build := b.run(t, source(types.SourceTypeGithub, r.url), buildspec(path))
		build.want(t, types.StatusTypeFailed, "Phase complete: DOWNLOAD_SOURCE State: FAILED\n[Container] Phase context status code: YAML_FILE_ERROR Message: ")
		if !strings.HasPrefix(build.context(), "YAML_FILE_ERROR: ") || !strings.Contains(build.context(), want) {
			t.Errorf("%s: context = %s", path, build.context())
		}
	}
}
