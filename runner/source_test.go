package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSourceReadsGitURLsAsDockerDoes(t *testing.T) {
	for _, test := range []struct {
		text string
		want prepared
	}{
		{"https://github.com/org/repo.git", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git"}},
		{"https://github.com/org/repo", prepared{sourceType: GitHub, location: "https://github.com/org/repo"}},
		{"github.com/org/repo#main", prepared{sourceType: GitHub, location: "https://github.com/org/repo", ref: "main"}},
		{"http://GitHub.com:80/org/repo.git", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git"}},
		{"https://github.com/org/repo.git#feature/x:sub/dir", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "feature/x", context: "sub/dir"}},
		{"https://github.com/org/repo.git#:sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", context: "sub"}},
		{"https://github.com/org/repo.git#main:/sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "main", context: "sub"}},
		{"https://github.com/org/repo.git?branch=main&subdir=sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/heads/main", context: "sub"}},
		{"https://github.com/org/repo.git?tag=v1", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/tags/v1"}},
		{"https://gitlab.com/group/sub/repo.git", prepared{sourceType: GitLab, location: "https://gitlab.com/group/sub/repo.git"}},
		{"https://bitbucket.org/team/repo.git#1a2b3c", prepared{sourceType: Bitbucket, location: "https://bitbucket.org/team/repo.git", ref: "1a2b3c"}},
		{"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app#main", prepared{sourceType: CodeCommit, location: "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app", ref: "main"}},
		{"https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/app", prepared{sourceType: CodeCommit, location: "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/app"}},
		{"git@github.com:org/repo.git#v1:sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "v1", context: "sub"}},
		{"ssh://git@gitlab.com/org/repo.git", prepared{sourceType: GitLab, location: "https://gitlab.com/org/repo.git"}},
		{"ssh://git@github.com:22/org/repo.git", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git"}},
		{"http://127.0.0.1:8080/repo.git#main", prepared{sourceType: Clone, location: "http://127.0.0.1:8080/repo.git", ref: "main"}},
		{"https://gitea.example.com/org/repo.git#v1:sub", prepared{sourceType: Clone, location: "https://gitea.example.com/org/repo.git", ref: "v1", context: "sub"}},
	} {
		source, err := ParseSource(test.text)
		if err != nil {
			t.Errorf("ParseSource(%q): %v", test.text, err)
			continue
		}
		got, err := source.prepare("")
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(prepared{})); diff != "" {
			t.Errorf("ParseSource(%q) (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestParseSourceRefusesWhatCannotBeBuilt(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "name a directory",
		"-":                                   "name a directory",
		"no/such/directory":                   `"no/such/directory" is neither a directory that exists nor a git URL`,
		"https://host.example/archive.tar.gz": "ends in .git",
		"https://user:s3cret@github.com/org/repo.git":    "has credentials in it",
		"https://s3cret@github.com/org/repo.git":         "import-source-credentials",
		"https://s3cret@git.example/org/repo.git":        "Git's Token",
		"s3cret@github.com/org/repo":                     "neither a directory",
		"user:s3cret@github.com:org/repo":                "neither a directory",
		"https://user:s3cret/x@github.com/org/repo.git":  "not a valid URL",
		"ssh://git:s3cret@github.com/org/repo.git":       "has credentials in it",
		"https://github.com/org/repo.git?token=s3cret":   `"token" is not supported`,
		"https://github.com/org/repo.git?ref=a&ref=b":    `"ref" twice`,
		"https://github.com/org/repo.git?ref=a#b":        "contradicts",
		"https://github.com/org/repo.git#main:../other":  "leads out of the repository",
		"https://github.com/org/repo.git#main:a/../../b": "leads out of the repository",
		"https://github.com/org/repo.git?subdir=/../b":   "leads out of the repository",
		"https://github.com":                             "no repository",
		"git@gitea.example.com:org/repo.git":             "no SSH key",
		"ssh://git@gitea.example.com/org/repo.git":       "no SSH key",
		"git://github.com/org/repo.git":                  "use https",
		"file:///srv/repo.git":                           "file URLs cannot be built from",
		"codecommit::eu-west-1://repo":                   "neither a directory",
	} {
		_, err := ParseSource(text)
		if !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSource(%q): %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("ParseSource(%q) shows the secret: %v", text, err)
		}
	}
}

func TestDirectoryThatExistsWins(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := filepath.Join("github.com", "org")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if source, err := ParseSource(dir); err != nil || source != Dir(dir) {
		t.Errorf("ParseSource(%q) = %v, %v", dir, source, err)
	}
}

func TestGitTypeCanBeGiven(t *testing.T) {
	got, err := Git{URL: "git@git.corp.example:org/repo.git", Type: GitHubEnterprise}.prepare("")
	if err != nil || got.sourceType != GitHubEnterprise || got.location != "https://git.corp.example/org/repo.git" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := (Git{URL: "https://github.com/org/repo.git", Token: "secret"}).prepare(""); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a token for a host that CodeBuild knows: %v", err)
	}
	if _, err := (Git{URL: "https://github.com/org/repo.git", Type: "SVN"}).prepare(""); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("type SVN: %v", err)
	}
	if _, err := (Git{URL: "https://github.com/org/repo.git#main"}).prepare(""); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a fragment in the URL: %v", err)
	}
}

func TestGitIsShownWithoutCredentials(t *testing.T) {
	for url, want := range map[string]string{
		"https://s3cret@github.com/a/b.git":      "https://xxxxx@github.com/a/b.git#v1",
		"https://user:s3cret@github.com/a/b.git": "https://xxxxx@github.com/a/b.git#v1",
		"ssh://git:s3cret@github.com/a/b.git":    "ssh://xxxxx@github.com/a/b.git#v1",
		"ssh://git@github.com/a/b.git":           "ssh://git@github.com/a/b.git#v1",
	} {
		if got := (Git{URL: url, Ref: "v1"}).String(); got != want {
			t.Errorf("%q is shown as %q, want %q", url, got, want)
		}
	}
}

func TestDockerfileOutsideOfARepository(t *testing.T) {
	git := Git{URL: "https://github.com/org/repo.git", Subdir: "api"}
	if _, err := git.prepare("../Dockerfile"); err != nil {
		t.Errorf("beside the context, in the repository: %v", err)
	}
	if _, err := git.prepare("../../Dockerfile"); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("outside of the repository: %v", err)
	}
}

// FuzzParseSource: whatever it accepts leads to a URL without credentials, and
// into the repository.
func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{
		"https://github.com/org/repo.git#main:sub", "git@github.com:org/repo.git", "github.com/a/b?ref=x", "ssh://git@h:22/a.git",
		"https://u:p@h/x.git", "https://h/x.git#a:../b", "https://h/%2e%2e/x.git#%2e%2e:%2e%2e/x", "http://[::1]:80/x.git",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source, err := ParseSource(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidRequest) {
				t.Fatalf("%v is no ErrInvalidRequest", err)
			}
			return
		}
		git, ok := source.(Git)
		if !ok {
			return
		}
		p, err := git.prepare("")
		if err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		if !strings.HasPrefix(p.location, "http://") && !strings.HasPrefix(p.location, "https://") {
			t.Errorf("location %q", p.location)
		}
		authority, _, _ := strings.Cut(strings.SplitN(p.location, "://", 2)[1], "/")
		if strings.Contains(authority, "@") || escapes(p.context) || strings.HasPrefix(p.context, "/") {
			t.Errorf("location %q context %q", p.location, p.context)
		}
	})
}
