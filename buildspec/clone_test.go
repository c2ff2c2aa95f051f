package buildspec

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// repository makes a bare repository with the commit that it returns, the branch
// feature/x besides the default one, and the tag v1.
func repository(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	work := dir + "/work"
	git(t, "init", "--quiet", "--initial-branch=main", work)
	if err := os.WriteFile(work+"/Dockerfile", []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, "-C", work, "add", ".")
	git(t, "-C", work, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "first")
	git(t, "-C", work, "branch", "feature/x")
	git(t, "-C", work, "tag", "v1")
	git(t, "clone", "--quiet", "--bare", work, dir+"/repo.git")
	git(t, "-C", dir+"/repo.git", "update-server-info")
	return dir, git(t, "-C", work, "rev-parse", "HEAD")
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	text, err := exec.Command("git", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

func TestClonesFromAnyServer(t *testing.T) {
	dir, commit := repository(t)
	for name, handler := range map[string]http.Handler{
		"git's own": &cgi.Handler{Path: git(t, "--exec-path") + "/git-http-backend", Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}},
		"of files":  http.FileServer(http.Dir(dir)), // it cannot make a shallow clone
	} {
		server := httptest.NewServer(handler)
		defer server.Close()
		for _, ref := range []string{"", "main", "feature/x", "refs/heads/main", "v1", "refs/tags/v1", commit, commit[:10]} {
			t.Run(name+"/"+ref, func(t *testing.T) {
				got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "GIT_URL": server.URL + "/repo.git", "GIT_REF": ref})
				if len(got.builds()) != 1 || got.exported[varSourceCommit] != commit {
					t.Errorf("%d builds of %q, want one of %s\n%s", len(got.builds()), got.exported[varSourceCommit], commit, got.output)
				}
			})
		}
		t.Run(name+"/a ref that is not there", func(t *testing.T) {
			got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "GIT_URL": server.URL + "/repo.git", "GIT_REF": "v9"})
			if want := `repo.git has no branch, tag or commit "v9"`; got.status != ExitSource || !strings.Contains(got.output, want) {
				t.Errorf("exit status %d, output lacks %q:\n%s", got.status, want, got.output)
			}
		})
	}
}

// As docker build does it.
func TestClonesHaveTheirSubmodules(t *testing.T) {
	dir, _ := repository(t)
	handler := &cgi.Handler{Path: git(t, "--exec-path") + "/git-http-backend", Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}}
	server := httptest.NewServer(handler)
	defer server.Close()
	outer := dir + "/work"
	for branch, url := range map[string]string{
		"good":  server.URL + "/repo.git",
		"local": dir + "/repo.git", // a path of the machine, which no repository may reach
	} {
		git(t, "-C", outer, "checkout", "--quiet", "-b", branch, "main")
		git(t, "-C", outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, branch)
		git(t, "-C", outer, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", branch)
		git(t, "-C", outer, "push", "--quiet", dir+"/repo.git", branch)
	}
	got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "GIT_URL": server.URL + "/repo.git", "GIT_REF": "good", "CONTEXT": "good"})
	if got.status != 0 || len(got.builds()) != 1 {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
	got = newSandbox(t).run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "GIT_URL": server.URL + "/repo.git", "GIT_REF": "local"})
	if got.status != ExitSource || !strings.Contains(got.output, "GIT_URL: cannot fetch submodules of") {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
}

func TestHistoryIsNoPartOfTheContext(t *testing.T) {
	dir, commit := repository(t)
	for name, test := range map[string]struct {
		url, version string // of the source, by CodeBuild
		args         map[string]string
		kept         bool
		commit       string
	}{
		"a repository":              {"https://git.example/r.git", commit, nil, false, commit},
		"a repository, with intent": {"https://git.example/r.git", commit, map[string]string{"A": "b", "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}, true, commit},
		"an uploaded directory":     {"s3://bucket/sources/x.zip", "an object's version", nil, true, ""},
		"no source of CodeBuild's":  {"", "", nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			git(t, "clone", "--quiet", dir+"/repo.git", s.source)
			env := environment(Params{Tags: []string{"app:1"}, Registry: "r.test", BuildArgs: test.args})
			env["CODEBUILD_RESOLVED_SOURCE_VERSION"], env["CODEBUILD_SOURCE_REPO_URL"] = test.version, test.url
			got := s.run(t, env)
			if len(got.builds()) != 1 || got.exported[varSourceCommit] != test.commit {
				t.Fatalf("%d builds of %q\n%s", len(got.builds()), got.exported[varSourceCommit], got.output)
			}
			if _, err := os.Stat(s.source + "/.git"); test.kept != (err == nil) {
				t.Errorf(".git in the context: %v, want it there: %v", err, test.kept)
			}
		})
	}
}
