package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// served is a folder whose repositories are served over HTTP. One with a
// password is served to nobody.
type served struct{ dir, url string }

func serveGit(t *testing.T) served {
	t.Helper()
	s := served{dir: t.TempDir()}
	backend := &cgi.Handler{
		Path: git(t, "--exec-path") + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch repository, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); repository {
		case "private.git":
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "page.git":
			io.WriteString(w, "<html>Sign in</html>\n")
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// repository makes name.git with a commit, if it has files, on main.
func (s served) repository(t *testing.T, name string, init []string, files map[string]string) (commit string) {
	t.Helper()
	dir := filepath.Join(s.dir, name)
	git(t, append(append([]string{"init", "--quiet", "--initial-branch=main"}, init...), dir)...)
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		return ""
	}
	git(t, "-C", dir, "add", ".")
	git(t, "-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "first")
	return git(t, "-C", dir, "rev-parse", "HEAD")
}

// Sources that CodeBuild itself downloads. A host of the test's own stands for
// a GitHub Enterprise.
func TestSourcesThatCodeBuildDownloads(t *testing.T) {
	t.Parallel()
	client, err := runner.New(t.Context(), engine(t).Config(), buildspec.StackName)
	if err != nil {
		t.Fatal(err)
	}
	s := serveGit(t)
	files := map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}
	commit := s.repository(t, "sha256.git", []string{"--object-format=sha256"}, files)
	s.repository(t, "empty.git", nil, nil)
	s.repository(t, "headless.git", nil, files)
	git(t, "-C", filepath.Join(s.dir, "headless.git"), "symbolic-ref", "HEAD", "refs/heads/gone")
	build := func(repository, ref string) (*runner.Result, error) {
		source := runner.Git{URL: s.url + "/" + repository, Ref: ref, Type: runner.GitHubEnterprise}
		return client.Run(t.Context(), runner.Request{Source: source, Tags: []string{"app:source"}})
	}
	for _, ref := range []string{"", "refs/heads/main", commit} {
		if result, err := build("sha256.git", ref); err != nil || result.Commit != commit {
			t.Errorf("a repository in SHA-256 format at %q: %+v, %v", ref, result, err)
		}
	}
	for name, test := range map[string]struct{ repository, ref, want string }{
		"a private one":    {"private.git", "", "import-source-credentials"},
		"none":             {"none.git", "", "repository not found"},
		"an empty one":     {"empty.git", "", "push a commit to it first"},
		"one without HEAD": {"headless.git", "", "name a branch that is there, as URL#branch"},
		"no such ref":      {"headless.git", "v9", "name a branch, a tag or a commit"},
		"a web page":       {"page.git", "", "give the URL that git clone takes"},
	} {
		_, err := build(test.repository, test.ref)
		var failed *runner.BuildError
		if !errors.As(err, &failed) || failed.Phase != "DOWNLOAD_SOURCE" || !strings.Contains(failed.Reason, test.want) || strings.Contains(failed.Reason, "buildx") {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
