package buildspec

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// repository makes a bare repository with the commit that it returns, the
// branch feature/x besides the default one, and the tag v1.
func repository(t *testing.T, options ...string) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	work := dir + "/work"
	git(t, append(append([]string{"init", "--quiet", "--initial-branch=main"}, options...), work)...)
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

// serve serves the repositories in dir as git does.
func serve(t *testing.T, dir string) string {
	t.Helper()
	server := httptest.NewServer(backend(t, dir))
	t.Cleanup(server.Close)
	return server.URL
}

func backend(t *testing.T, dir string) http.Handler {
	t.Helper()
	return &cgi.Handler{Path: git(t, "--exec-path") + "/git-http-backend", Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}}
}

// commit makes an empty commit in a work tree and returns its hash.
func commit(t *testing.T, work, message string) string {
	t.Helper()
	git(t, "-C", work, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--allow-empty", "--message", message)
	return git(t, "-C", work, "rev-parse", "HEAD")
}

// Names are looked up in docker's order: as a branch, a tag, the name of a ref
// and a commit.
func TestClonesTheRefThatIsMeant(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		dir, first := repository(t, "--object-format="+format)
		work, bare := dir+"/work", dir+"/repo.git"
		git(t, "-C", work, "tag", "both")
		git(t, "-C", work, "-c", "user.name=test", "-c", "user.email=test@example.com", "tag", "--annotate", "--message", "v2", "v2")
		second := commit(t, work, "second")
		git(t, "-C", work, "branch", "both")
		third := commit(t, work, "third")
		git(t, "-C", work, "push", "--quiet", bare, "refs/heads/both", "refs/tags/both", "refs/tags/v2", "main:refs/pull/1/head", "main:refs/heads/HEAD")
		git(t, "-C", bare, "update-server-info")
		files := httptest.NewServer(http.FileServer(http.Dir(dir))) // it cannot make a shallow clone
		t.Cleanup(files.Close)
		for name, url := range map[string]string{"git's own server": serve(t, dir), "a server of files": files.URL} {
			for ref, want := range map[string]string{
				"": first, "HEAD": first, "main": first, "feature/x": first, "refs/heads/main": first, "heads/main": first,
				"v1": first, "refs/tags/v1": first, "tags/v1": first, "v2": first, "refs/tags/v2": first,
				"both": second, "refs/heads/both": second, "refs/tags/both": first,
				"refs/pull/1/head": third, "pull/1/head": third, "refs/heads/HEAD": third,
				first: first, first[:10]: first, second: second,
			} {
				if name != "git's own server" && (format == "sha256" || !slices.Contains([]string{"", "v1", "both", first[:10]}, ref)) {
					continue // git cannot read SHA-256 from files
				}
				if format == "sha256" && !slices.Contains([]string{"", "both", first, first[:10]}, ref) {
					continue // refs are not longer there, only commits are
				}
				t.Run(format+"/"+name+"/"+ref, func(t *testing.T) {
					t.Parallel()
					got := newSandbox(t).run(t, map[string]string{"GIT_URL": url + "/repo.git", "GIT_REF": ref})
					got.works(t)
					if got.exported[varSourceCommit] != want {
						t.Errorf("the commit %q, want %q\n%s", got.exported[varSourceCommit], want, got.output)
					}
				})
			}
			for _, ref := range []string{"v9", "feature", strings.Repeat("0", len(first)), "0123456"} {
				if format == "sha256" && (name != "git's own server" || len(ref) < len(first)) {
					continue
				}
				t.Run(format+"/"+name+"/no "+ref, func(t *testing.T) {
					t.Parallel()
					got := newSandbox(t).run(t, map[string]string{"GIT_URL": url + "/repo.git", "GIT_REF": ref})
					got.fails(t, ExitSource, `GIT_REF: `+url+`/repo.git has no branch, tag or commit "`+ref+`"`)
				})
			}
		}
	}
}

func TestClonesNoMoreHistoryThanItBuilds(t *testing.T) {
	dir, _ := repository(t)
	commit(t, dir+"/work", "second")
	git(t, "-C", dir+"/work", "push", "--quiet", dir+"/repo.git", "main")
	s := newSandbox(t)
	s.run(t, map[string]string{"GIT_URL": serve(t, dir) + "/repo.git", "BUILD_ARGS": "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"}).works(t)
	if n := git(t, "-C", s.home+"/.flexbuild/source", "rev-list", "--count", "HEAD"); n != "1" {
		t.Errorf("%s commits were cloned, want 1", n)
	}
}

func TestSourceThatCannotBeClonedIsExplained(t *testing.T) {
	dir, _ := repository(t)
	git(t, "init", "--quiet", "--bare", dir+"/empty.git")
	git(t, "clone", "--quiet", "--bare", dir+"/work", dir+"/headless.git")
	git(t, "-C", dir+"/headless.git", "symbolic-ref", "HEAD", "refs/heads/gone")
	handler := backend(t, dir)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
		case "page":
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>\n<body>no git here</body>\n</html>\n"))
		case "login":
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "moved":
			http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved")+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
		case "circle":
			http.Redirect(w, r, r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
		default:
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	const login, refused = ": it wants a login: name a secret with a token in GIT_TOKEN (--git-token)", ": it refuses the token of GIT_TOKEN: check that it is valid and may read the repository"
	for name, test := range map[string]struct{ path, ref, token, says, hint string }{
		"an empty repository":        {"empty.git", "", "", "GIT_URL: the repository URL has no branch: push a commit first, or give the address that git clone takes", ""},
		"an empty one, and a ref":    {"empty.git", "main", "", `GIT_REF: URL has no branch, tag or commit "main"`, ""},
		"a HEAD that points nowhere": {"headless.git", "", "", "GIT_URL: the HEAD of URL names a branch that does not exist: give GIT_REF", ""},
		"a web page":                 {"page", "", "", "GIT_URL: cannot clone URL: ", ": what answers is no git repository: give the URL that git clone takes"},
		"a web page, and a ref":      {"page", "main", "", "GIT_URL: cannot clone URL: ", ": what answers is no git repository: give the URL that git clone takes"},
		"a login, without a token":   {"login", "", "", "GIT_URL: cannot clone URL: could not read Username", login},
		"a login, with a token":      {"login", "", "hunter2", "GIT_URL: cannot clone URL: Authentication failed", refused},
		"a refusal":                  {"forbidden", "", "", "GIT_URL: cannot clone URL: ", login},
		"a refusal, with a token":    {"forbidden", "", "hunter2", "GIT_URL: cannot clone URL: ", refused},
		"no repository":              {"nope.git", "", "", "GIT_URL: cannot clone URL: ", ": check the URL; a private repository needs GIT_TOKEN (--git-token)"},
		"a broken server":            {"broken", "", "", "GIT_URL: cannot clone URL: ", "error: 500"},
		"a circle":                   {"circle", "", "", "GIT_URL: cannot clone URL: ", "redirects followed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.URL + "/" + test.path
			got := newSandbox(t).run(t, map[string]string{"GIT_URL": url, "GIT_REF": test.ref, "GIT_TOKEN": test.token})
			got.fails(t, ExitSource, strings.NewReplacer("GIT_URL", "GIT_URL", "URL", url).Replace(test.says))
			if !strings.HasSuffix(strings.Join(got.errors, ""), test.hint) || strings.Contains(got.output, "hunter2") {
				t.Errorf("the reason is %q, want %q at its end", got.errors, test.hint)
			}
		})
	}
	t.Run("a HEAD that points nowhere, and a ref", func(t *testing.T) {
		t.Parallel()
		newSandbox(t).run(t, map[string]string{"GIT_URL": server.URL + "/headless.git", "GIT_REF": "main"}).works(t)
	})
	t.Run("a server that redirects", func(t *testing.T) {
		t.Parallel()
		newSandbox(t).run(t, map[string]string{"GIT_URL": server.URL + "/moved/repo.git"}).works(t)
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		newSandbox(t).run(t, map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git"}).fails(t, ExitSource, "GIT_URL: cannot clone http://127.0.0.1:1/x.git: unable to access")
	})
}

func TestCheckoutThatFailsIsNotCalledBuildxs(t *testing.T) {
	dir, hash := repository(t)
	url := serve(t, dir) + "/repo.git"
	s := newSandbox(t)
	s.stub(t, "git")
	got := s.run(t, map[string]string{"GIT_URL": url}, answer("*' checkout '*", 128, "fatal: x: smudge filter lfs failed\n"))
	got.fails(t, ExitSource, "GIT_URL: cannot check out "+hash+" of "+url+": fatal: x: smudge filter lfs failed")
}

// A clone must not wait for input, or for a server that sends nothing.
func TestCloneDoesNotWait(t *testing.T) {
	dir, _ := repository(t)
	s := newSandbox(t)
	s.run(t, map[string]string{"GIT_URL": serve(t, dir) + "/repo.git"}).works(t)
	env, err := os.ReadFile(s.record + ".env")
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"GIT_ALLOW_PROTOCOL=\"http:https\"", "GIT_TERMINAL_PROMPT=\"0\"", "GIT_HTTP_LOW_SPEED_LIMIT=\"1\"", "GIT_HTTP_LOW_SPEED_TIME=\"300\""} {
		if !strings.Contains(string(env), "declare -x "+variable+"\n") {
			t.Errorf("the environment lacks %s", variable)
		}
	}
}

func TestFilesOfACloneAreReadableByAll(t *testing.T) {
	dir, _ := repository(t)
	work := dir + "/work"
	if err := os.MkdirAll(work+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(work+"/d/tool", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, "-C", work, "add", ".")
	commit(t, work, "tool")
	git(t, "-C", work, "push", "--quiet", dir+"/repo.git", "main")
	s := newSandbox(t)
	commands := append([]string{"umask 077"}, parseSource(t).Phases["build"].Commands...)
	s.runCommands(t, commands, map[string]string{"GIT_URL": serve(t, dir) + "/repo.git"}).works(t)
	for name, want := range map[string]os.FileMode{"Dockerfile": 0o644, "d": 0o755 | os.ModeDir, "d/tool": 0o755} {
		if info, err := os.Stat(s.home + "/.flexbuild/source/" + name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
}

func TestCommitMustHaveItsChecksum(t *testing.T) {
	dir, hash := repository(t)
	url := serve(t, dir) + "/repo.git"
	wrong := strings.Map(func(r rune) rune { return rune("fedcba9876543210"[strings.IndexRune("0123456789abcdef", r)]) }, hash)
	clone := func(checksum string) map[string]string {
		return map[string]string{"GIT_URL": url, "GIT_CHECKSUM": checksum}
	}
	codebuild := func(checksum string) map[string]string {
		return map[string]string{"CODEBUILD_SOURCE_REPO_URL": "https://git.test/x", "CODEBUILD_RESOLVED_SOURCE_VERSION": hash, "GIT_CHECKSUM": checksum}
	}
	for name, test := range map[string]struct {
		env  map[string]string
		says string
	}{
		"the whole hash":              {clone(hash), ""},
		"its beginning":               {clone(hash[:7]), ""},
		"another":                     {clone(wrong), "GIT_CHECKSUM: the source is " + hash + ", not " + wrong},
		"another beginning":           {clone(wrong[:7]), "GIT_CHECKSUM: the source is " + hash + ", not " + wrong[:7]},
		"its end":                     {clone(hash[33:]), "GIT_CHECKSUM: the source is " + hash + ", not "},
		"more than the hash":          {clone(hash + "0"), "GIT_CHECKSUM: the source is " + hash + ", not "},
		"of CodeBuild's clone":        {codebuild(hash[:12]), ""},
		"another of CodeBuild's":      {codebuild(wrong[:12]), "GIT_CHECKSUM: the source is " + hash + ", not " + wrong[:12]},
		"of a source without commits": {map[string]string{"GIT_CHECKSUM": hash}, "GIT_CHECKSUM: the source is no repository, not " + hash},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, test.env)
			if test.says == "" {
				got.works(t)
			} else {
				got.fails(t, ExitSource, test.says)
			}
		})
	}
}

// As docker build does it.
func TestClonesHaveTheirSubmodules(t *testing.T) {
	dir, _ := repository(t)
	server := serve(t, dir)
	outer := dir + "/work"
	for branch, url := range map[string]string{
		"good":  server + "/repo.git",
		"local": dir + "/repo.git",                // a path of the machine, which no repository may reach
		"ssh":   "ssh://git@127.0.0.1:1/repo.git", // a build has no key
	} {
		git(t, "-C", outer, "checkout", "--quiet", "-b", branch, "main")
		git(t, "-C", outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", dir+"/repo.git", branch)
		git(t, "-C", outer, "config", "--file", ".gitmodules", "submodule."+branch+".url", url)
		git(t, "-C", outer, "add", ".gitmodules")
		git(t, "-C", outer, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", branch)
		git(t, "-C", outer, "push", "--quiet", dir+"/repo.git", branch)
	}
	newSandbox(t).run(t, map[string]string{"GIT_URL": server + "/repo.git", "GIT_REF": "good", "CONTEXT": "good"}).works(t)
	for _, branch := range []string{"local", "ssh"} {
		got := newSandbox(t).run(t, map[string]string{"GIT_URL": server + "/repo.git", "GIT_REF": branch})
		got.fails(t, ExitSource, "GIT_URL: cannot fetch submodules of "+server+"/repo.git: ")
	}
}

func TestHistoryIsNoPartOfTheContext(t *testing.T) {
	dir, hash := repository(t)
	for name, test := range map[string]struct {
		url, version string // of the source, by CodeBuild
		kept         bool
		commit       string
	}{
		"a repository":          {"https://git.example/r.git", hash, false, hash},
		"a local repository":    {"http://git.example/r.git", hash, false, hash},
		"an uploaded directory": {"s3://bucket/sources/x.zip", "an object's version", true, ""},
		"no source of a kind":   {"", "", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			git(t, "clone", "--quiet", dir+"/repo.git", s.source)
			got := s.run(t, map[string]string{"CODEBUILD_RESOLVED_SOURCE_VERSION": test.version, "CODEBUILD_SOURCE_REPO_URL": test.url})
			got.works(t)
			if got.exported[varSourceCommit] != test.commit {
				t.Errorf("the commit %q, want %q", got.exported[varSourceCommit], test.commit)
			}
			if _, err := os.Stat(s.source + "/.git"); test.kept != (err == nil) {
				t.Errorf(".git in the context: %v, want it there: %v", err, test.kept)
			}
		})
	}
}

// The forms are those of Go's strconv.ParseBool, as in BuildKit.
func TestHistoryIsKeptWhereItIsAskedFor(t *testing.T) {
	dir, hash := repository(t)
	url := serve(t, dir) + "/repo.git"
	const name = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
	forms := map[string]bool{"A=1": false, "X" + name + "=1": false, name + "_=1": false, "A=1&" + name + "=1&B=2": true, name + "=yes": false, name + "=": false, name + "=1x": false}
	for _, form := range []string{"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"} {
		forms[name+"="+form], _ = strconv.ParseBool(form)
	}
	for args, kept := range forms {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			git(t, "clone", "--quiet", dir+"/repo.git", s.source)
			s.run(t, map[string]string{"CODEBUILD_RESOLVED_SOURCE_VERSION": hash, "CODEBUILD_SOURCE_REPO_URL": "https://git.test/x", "BUILD_ARGS": args}).works(t)
			sources := []string{s.source}
			if strings.HasSuffix(args, "true") || strings.HasSuffix(args, "false") {
				s.run(t, map[string]string{"GIT_URL": url, "BUILD_ARGS": args})
				sources = append(sources, s.home+"/.flexbuild/source")
			}
			for _, source := range sources {
				if _, err := os.Stat(source + "/.git"); kept != (err == nil) {
					t.Errorf("%s/.git: %v, want it there: %v", source, err, kept)
				}
			}
		})
	}
}
