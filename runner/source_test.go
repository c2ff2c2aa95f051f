package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const fullSHA = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b"

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
		{"https://github.com/org/repo.git?branch=main&subdir=sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/heads/main", version: "main", context: "sub"}},
		{"https://github.com/org/repo.git?tag=v1", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/tags/v1", version: "v1"}},
		{"https://github.com/org/repo/", prepared{sourceType: GitHub, location: "https://github.com/org/repo"}},
		{"https://github.com/org/repo.git#HEAD", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "HEAD"}},
		{"https://github.com/org/repo.git#refs/pull/7/head", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/pull/7/head", version: "pr/7"}},
		{"https://github.com/org/repo.git#pr/7", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "pr/7", version: "pr/7"}},
		{"https://github.com/org/repo.git?checksum=1A2B3C4", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "1a2b3c4", version: "1a2b3c4", checksum: "1a2b3c4"}},
		{"https://github.com/org/repo.git?tag=v1&checksum=1a2b3c4", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/tags/v1", version: "v1", checksum: "1a2b3c4"}},
		{"https://github.com/org/repo.git?commit=1a2b3c4#main:sub", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "main", version: "main", context: "sub", checksum: "1a2b3c4"}},
		{"https://github.com/org/repo.git?branch=main&checksum=" + fullSHA, prepared{sourceType: GitHub, location: "https://github.com/org/repo.git", ref: "refs/heads/main", version: "refs/heads/main^{" + fullSHA + "}", checksum: fullSHA}},
		{"https://gitlab.com/org/repo.git?branch=main&checksum=" + fullSHA, prepared{sourceType: GitLab, location: "https://gitlab.com/org/repo.git", ref: "refs/heads/main", version: "main", checksum: fullSHA}},
		{"https://git.example/r.git?tag=v1&checksum=1a2b3c4", prepared{sourceType: Clone, location: "https://git.example/r.git", ref: "refs/tags/v1", checksum: "1a2b3c4"}},
		{"https://git.example/r.git#refs/merge-requests/3/head", prepared{sourceType: Clone, location: "https://git.example/r.git", ref: "refs/merge-requests/3/head"}},
		{"https://git.example/org/repo.git/", prepared{sourceType: Clone, location: "https://git.example/org/repo.git"}},
		{"https://dev.azure.com/org/project/_git/repo#main", prepared{sourceType: Clone, location: "https://dev.azure.com/org/project/_git/repo", ref: "main"}},
		{"https://tfs.corp.example/tfs/Default/project/_git/repo", prepared{sourceType: Clone, location: "https://tfs.corp.example/tfs/Default/project/_git/repo"}},
		{"https://git.sr.ht/~user/repo", prepared{sourceType: Clone, location: "https://git.sr.ht/~user/repo"}},
		{"https://go.googlesource.com/example", prepared{sourceType: Clone, location: "https://go.googlesource.com/example"}},
		{"git+https://git.example/org/repo#main:sub", prepared{sourceType: Clone, location: "https://git.example/org/repo", ref: "main", context: "sub"}},
		{"git+http://127.0.0.1:8080/repo/", prepared{sourceType: Clone, location: "http://127.0.0.1:8080/repo"}},
		{"git+https://github.com/org/repo", prepared{sourceType: GitHub, location: "https://github.com/org/repo"}},
		{"git+ssh://git@github.com/org/repo.git", prepared{sourceType: GitHub, location: "https://github.com/org/repo.git"}},
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
		if kind := test.want.sourceType; kind != Clone && test.want.version == "" && test.want.ref != "HEAD" {
			test.want.version = test.want.ref // by its name
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(prepared{})); diff != "" {
			t.Errorf("ParseSource(%q) (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestParseSourceRefusesWhatCannotBeBuilt(t *testing.T) {
	for text, want := range map[string]string{
		"":  "name a directory",
		"-": "name a directory",
		"https://github.com/org/repo?tag=v1;checksum=1a2b3c4": "query cannot be read",
		"https://github.com/org/repo?checksum=%zz":            "query cannot be read",
		"git@github.com:org/repo.git?tag=v1;checksum=1a2b3c4": "query cannot be read",
		"no/such/directory":                                               `"no/such/directory" is neither a directory that exists nor a git URL`,
		"https://host.example/archive.tar.gz":                             "ends in .git",
		"https://user:s3cret@github.com/org/repo.git":                     "has credentials in it",
		"https://s3cret@github.com/org/repo.git":                          "import-source-credentials",
		"https://s3cret@git.example/org/repo.git":                         "Git's Token",
		"s3cret@github.com/org/repo":                                      "neither a directory",
		"user:s3cret@github.com:org/repo":                                 "neither a directory",
		"https://user:s3cret/x@github.com/org/repo.git":                   "not a valid URL",
		"https://github.com/org%zz/repo.git":                              "not a valid URL",
		"ssh://git:s3cret@github.com/org/repo.git":                        "has credentials in it",
		"https://github.com/org/repo.git?token=s3cret":                    `"token" is not supported`,
		"https://github.com/org/repo.git?ref=a&ref=b":                     `"ref" twice`,
		"https://github.com/org/repo.git?ref=a#b":                         "contradicts",
		"https://github.com/org/repo.git#main:../other":                   "leads out of the repository",
		"https://github.com/org/repo.git#main:a/../../b":                  "leads out of the repository",
		"https://github.com/org/repo.git?subdir=/../b":                    "leads out of the repository",
		"https://github.com":                                              "no repository",
		"git@gitea.example.com:org/repo.git":                              "no SSH key",
		"ssh://git@gitea.example.com/org/repo.git":                        "no SSH key",
		"git://github.com/org/repo.git":                                   "use https",
		"file:///srv/repo.git":                                            "file URLs cannot be built from",
		"https://user:s3cret@github.com/org/repo/tree/main":               "is a page for browsers: use https://github.com/org/repo.git#main",
		"https://github.com/org":                                          "names no repository: write github.com/OWNER/REPOSITORY",
		"https://gitlab.com/group/":                                       "names no repository",
		"s3://bucket/key.zip":                                             "s3 URLs cannot be built from: download it (aws s3 cp --recursive)",
		"docker-image://alpine":                                           "begins FROM that image",
		"docker-image://alpine:3.20":                                      "begins FROM that image",
		"docker-image://r.example:5000/a@sha256:0000":                     "begins FROM that image",
		"s3://bucket/key.zip?versionId=1":                                 "aws s3 cp",
		"svn+ssh://host/repo":                                             "svn+ssh URLs cannot be built from: use https",
		"oci-layout://dir":                                                "push it to a registry",
		"ftp://host/x.tar":                                                "download it",
		"https://[2001:db8::1]/org/repo.git":                              "names an IPv6 address, which is not supported: give the host's name",
		"https://[::1]:8443/org/repo.git":                                 "IPv6",
		"https://git.example/org/repo":                                    "begins with git+https://",
		"https://github.com/org/repo.git?keep-git-dir=1":                  "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
		"https://github.com/org/repo.git?tag=a&branch=a":                  "contradicts",
		"https://github.com/org/repo.git?checksum=1a2b3c4&commit=5e6f1a2": "contradicts",
		"https://github.com/org/repo.git?checksum=":                       "is empty",
		"https://github.com/org/repo.git?checksum=5e6f1a2#" + fullSHA:     `does not begin with the checksum "5e6f1a2"`,
		"https://gitlab.com/org/repo.git#refs/merge-requests/3/head":      "CodeBuild takes a branch, a tag or a commit of a GITLAB repository",
		"https://gitlab.com/org/repo.git#pr/3":                            "CodeBuild has pull requests of GitHub only",
		"https://github.com/org/repo.git#refs/pull/3/merge":               "CodeBuild takes a branch",
		"codecommit::eu-west-1://repo":                                    "neither a directory",
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

func TestPagesForBrowsersAreRefusedWithTheSourceToUse(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/org/repo/tree/main":                            "https://github.com/org/repo.git#main",
		"https://github.com/org/repo/tree/main/":                           "https://github.com/org/repo.git#main",
		"https://www.github.com/org/repo/tree/main":                        "https://github.com/org/repo.git#main",
		"github.com/org/repo/tree/v1/api/cmd":                              "https://github.com/org/repo.git#v1:api/cmd (if the branch's own name has a slash",
		"https://github.com/org/repo/blob/main/api/Dockerfile#L3":          "https://github.com/org/repo.git#main:api with the Dockerfile Dockerfile",
		"https://github.com/org/repo/blob/main/Dockerfile.ci":              "https://github.com/org/repo.git#main with the Dockerfile Dockerfile.ci",
		"https://github.com/org/repo/pull/12":                              "https://github.com/org/repo.git#refs/pull/12/head",
		"https://github.com/org/repo/pull/12/files":                        "https://github.com/org/repo.git#refs/pull/12/head",
		"https://github.com/org/repo/commit/" + fullSHA:                    "https://github.com/org/repo.git#" + fullSHA,
		"https://github.com/org/repo/releases/tag/v1.2":                    "https://github.com/org/repo.git#v1.2",
		"https://github.com/org/repo/issues":                               "https://github.com/org/repo.git",
		"https://gitlab.com/group/sub/repo/-/tree/main/api?ref_type=heads": "https://gitlab.com/group/sub/repo.git#main:api",
		"https://gitlab.com/group/repo/-/blob/main/Dockerfile":             "https://gitlab.com/group/repo.git#main with the Dockerfile Dockerfile",
		"https://gitlab.com/group/repo/-/merge_requests/3":                 "https://gitlab.com/group/repo.git#BRANCH with the merge request's branch",
		"https://gitlab.com/group/repo/-/commit/" + fullSHA:                "https://gitlab.com/group/repo.git#" + fullSHA,
		"https://gitlab.com/group/repo/-/tags/v1":                          "https://gitlab.com/group/repo.git#v1",
		"https://gitlab.corp.example/group/repo/-/tree/main/api":           "https://gitlab.corp.example/group/repo.git#main:api",
		"https://gitlab.com/group/repo/-/pipelines":                        "https://gitlab.com/group/repo.git",
		"https://bitbucket.org/team/repo/src/main/api/":                    "https://bitbucket.org/team/repo.git#main:api",
		"https://bitbucket.org/team/repo/src":                              "https://bitbucket.org/team/repo.git",
		"https://bitbucket.org/team/repo/pull-requests/3/diff":             "https://bitbucket.org/team/repo.git#BRANCH with the pull request's branch",
		"https://bitbucket.org/team/repo/commits/" + fullSHA:               "https://bitbucket.org/team/repo.git#" + fullSHA,
		"https://bitbucket.org/team/repo/branch/feature/x":                 "https://bitbucket.org/team/repo.git#feature/x",
	} {
		_, err := ParseSource(url)
		if !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), "is a page for browsers: use "+want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if text, _, _ := strings.Cut(want, " "); err == nil || !strings.Contains(err.Error(), text) {
			continue
		} else if _, err := ParseSource(text); err != nil {
			t.Errorf("%s is the source that the error recommends, but: %v", text, err)
		}
		bare, _, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "?")
		bare, _, _ = strings.Cut(bare, "#")
		if _, err := (Git{URL: "https://" + bare}).prepare(""); err == nil || !strings.Contains(err.Error(), "is a page for browsers") {
			t.Errorf("Git's %s: %v", bare, err)
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
	for url, kind := range map[string]SourceType{"https://git.example/org/repo": Clone, "https://gitlab.corp.example/org/repo": GitLabSelfManaged} {
		if got, err := (Git{URL: url, Type: kind}).prepare(""); err != nil || got.location != url || got.sourceType != kind {
			t.Errorf("type %s says that %s is a repository: %+v, %v", kind, url, got, err)
		}
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
