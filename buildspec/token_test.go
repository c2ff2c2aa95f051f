package buildspec

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// private returns a git server that asks for the token, and redirects
// /elsewhere/.
func private(t *testing.T, dir, user, token, elsewhere string) *httptest.Server {
	t.Helper()
	repositories := backend(t, dir)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gotUser, gotToken, _ := r.BasicAuth()
		switch path, moved := strings.CutPrefix(r.URL.Path, "/elsewhere"); {
		case moved:
			http.Redirect(w, r, elsewhere+path+"?"+r.URL.RawQuery, http.StatusFound)
		case gotUser != user || gotToken != token:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			repositories.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

const hunter2 = `hunter2$(touch canary)"';%s`

func TestTokenOpensAPrivateRepositoryAndLeavesNoTrace(t *testing.T) {
	dir, commit := repository(t)
	for name, test := range map[string]struct{ user, token string }{
		"a token":            {"git", hunter2},
		"a user and a token": {"oauth2", "oauth2:" + hunter2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			server := private(t, dir, test.user, hunter2, "")
			got := s.run(t, map[string]string{"GIT_URL": server.URL + "/repo.git", "GIT_TOKEN": test.token})
			if len(got.builds()) != 1 || got.exported[varSourceCommit] != commit {
				t.Fatalf("%d builds of %q\n%s", len(got.builds()), got.exported[varSourceCommit], got.output)
			}
			if strings.Contains(got.output, "hunter2") {
				t.Errorf("output contains the token:\n%s", got.output)
			}
			s.lacks(t, "hunter2")
			s.untouched(t)
		})
	}
}

// lacks looks for a secret in every file that the build left, and in what the
// recorder saw of docker's environment and arguments.
func (s sandbox) lacks(t *testing.T, secret string) {
	t.Helper()
	err := filepath.WalkDir(s.root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(s.record + ".env"); err != nil || !strings.Contains(string(text), "HOME=") {
		t.Errorf("the recorder saw no environment: %v", err)
	}
}

func TestWrongTokenFailsTheBuild(t *testing.T) {
	dir, _ := repository(t)
	server := private(t, dir, "git", "another", "")
	got := newSandbox(t).run(t, map[string]string{"GIT_URL": server.URL + "/repo.git", "GIT_TOKEN": "hunter2"})
	if got.status != ExitSource || !strings.Contains(got.output, "Authentication failed") || strings.Contains(got.output, "hunter2") {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
}

// thief returns a server that asks for a login and keeps what it is sent.
func thief(t *testing.T, seen *[]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.Header.Get("Authorization"))
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return server
}

// A server that is asked for a repository could send git to another one.
func TestTokenIsNotSentToAnotherHost(t *testing.T) {
	dir, _ := repository(t)
	var seen []string
	thief := thief(t, &seen)
	server := private(t, dir, "git", "hunter2", thief.URL)
	got := newSandbox(t).run(t, map[string]string{"GIT_URL": server.URL + "/elsewhere/repo.git", "GIT_TOKEN": "hunter2"})
	if got.status != ExitSource || len(seen) == 0 || strings.Join(seen, "") != "" {
		t.Errorf("exit status %d; the other host saw %q\n%s", got.status, seen, got.output)
	}
}

// A token goes to https, or to this very machine.
func TestTokenIsNotSentInTheClear(t *testing.T) {
	for _, url := range []string{
		"http://git.example/x.git", "http://localhost.evil.example/x.git", "http://127.0.0.1.evil.example/x.git", "http://127.0.0.10/x.git",
		"http://localhost@evil.example/x.git", "http://localhost:x@evil.example/x.git", "http://localhost:evil.example/x.git", "http://localhost:80.evil.example/x.git",
		"http://127.0.0.1?evil.example/x.git", "http://127.0.0.1#evil.example/x.git", `http://localhost\evil.example/x.git`, "http://xlocalhost/x.git",
		"http://LOCALHOST/x.git", "HTTP://localhost/x.git", "HTTPS://git.example/x.git", "https:/git.example/x.git", "https://", "https:///x.git",
		"http://[::1]/x.git", "https://[::1]/x.git", "http://127a0b0c1/x.git", "http://0/x.git", "http://2130706433/x.git",
		"git://localhost/x.git", "ssh://localhost/x.git", "http://localhost\n.evil.example/x.git",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.stub(t, "git")
			got := s.run(t, map[string]string{"GIT_URL": url, "GIT_TOKEN": "hunter2"})
			got.fails(t, ExitParameter, "GIT_")
			if calls := got.called("git"); len(calls) != 0 || strings.Contains(got.output, "hunter2") {
				t.Errorf("git was called: %q\n%s", calls, got.output)
			}
			p := Params{Tags: []string{"app"}, GitURL: url, GitToken: "team/token"}
			if p.Validate() == nil {
				t.Error("Validate accepts it")
			}
		})
	}
}

// https is accepted. Nobody answers at this address.
func TestTokenIsSentOverHTTPS(t *testing.T) {
	for _, url := range []string{"https://127.0.0.1:1/x.git", "https://127.0.0.1:1", "http://localhost:1/x.git", "http://127.0.0.1:1"} {
		got := newSandbox(t).run(t, map[string]string{"GIT_URL": url, "GIT_TOKEN": "hunter2"})
		got.fails(t, ExitSource, "GIT_URL: cannot clone "+url)
		p := Params{Tags: []string{"app"}, GitURL: url, GitToken: "team/token"}
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestTokenIsForSubmodulesOfItsHostOnly(t *testing.T) {
	dir, _ := repository(t)
	var seen []string
	thief := thief(t, &seen)
	server := private(t, dir, "git", hunter2, "")
	outer := dir + "/work"
	for branch, url := range map[string]string{"own": server.URL, "foreign": thief.URL} {
		git(t, "-C", outer, "checkout", "--quiet", "-b", branch, "main")
		module := "[submodule \"m\"]\n\tpath = m\n\turl = " + url + "/repo.git\n"
		if err := os.WriteFile(outer+"/.gitmodules", []byte(module), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, "-C", outer, "add", ".gitmodules")
		git(t, "-C", outer, "update-index", "--add", "--cacheinfo", "160000,"+git(t, "-C", outer, "rev-parse", "main")+",m")
		commit(t, outer, branch)
		git(t, "-C", outer, "push", "--quiet", dir+"/repo.git", branch)
	}
	env := map[string]string{"GIT_URL": server.URL + "/repo.git", "GIT_TOKEN": hunter2, "GIT_REF": "own", "CONTEXT": "m"}
	newSandbox(t).run(t, env).works(t)
	env["GIT_REF"] = "foreign"
	got := newSandbox(t).run(t, env)
	got.fails(t, ExitSource, "GIT_URL: cannot fetch submodules of ")
	if len(seen) == 0 || strings.Join(seen, "") != "" || strings.Contains(got.output, "hunter2") {
		t.Errorf("the other host saw %q\n%s", seen, got.output)
	}
}
