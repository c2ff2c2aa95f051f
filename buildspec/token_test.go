package buildspec

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// private is a git server that asks for the token, and redirects /elsewhere/.
func private(t *testing.T, dir, user, token, elsewhere string) *httptest.Server {
	t.Helper()
	backend := &cgi.Handler{Path: git(t, "--exec-path") + "/git-http-backend", Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gotUser, gotToken, _ := r.BasicAuth()
		switch path, moved := strings.CutPrefix(r.URL.Path, "/elsewhere"); {
		case moved:
			http.Redirect(w, r, elsewhere+path+"?"+r.URL.RawQuery, http.StatusFound)
		case gotUser != user || gotToken != token:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
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
			got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "GIT_URL": server.URL + "/repo.git", "GIT_TOKEN": test.token})
			if len(got.builds()) != 1 || got.exported[varSourceCommit] != commit {
				t.Fatalf("%d builds of %q\n%s", len(got.builds()), got.exported[varSourceCommit], got.output)
			}
			if strings.Contains(got.output, "hunter2") {
				t.Errorf("output tells the token:\n%s", got.output)
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
	got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "GIT_URL": server.URL + "/repo.git", "GIT_TOKEN": "hunter2"})
	if got.status != ExitSource || !strings.Contains(got.output, "Authentication failed") || strings.Contains(got.output, "hunter2") {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
}

// A server that is asked for a repository could send git to another one.
func TestTokenIsNotSentToAnotherHost(t *testing.T) {
	dir, _ := repository(t)
	var seen []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer thief.Close()
	server := private(t, dir, "git", "hunter2", thief.URL)
	got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "GIT_URL": server.URL + "/elsewhere/repo.git", "GIT_TOKEN": "hunter2"})
	if got.status != ExitSource || len(seen) == 0 || strings.Join(seen, "") != "" {
		t.Errorf("exit status %d; the other host saw %q\n%s", got.status, seen, got.output)
	}
}

func TestTokenIsNotSentInTheClear(t *testing.T) {
	got := newSandbox(t).run(t, map[string]string{"TAG": "app:1", "GIT_URL": "http://git.example/x.git", "GIT_TOKEN": "hunter2"})
	if got.status != ExitParameter || !strings.Contains(got.output, "GIT_TOKEN: it is sent over https only") {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
}
