package runner

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// SourceType determines who downloads a git repository.
type SourceType string

const (
	GitHub            SourceType = "GITHUB"
	GitHubEnterprise  SourceType = "GITHUB_ENTERPRISE"
	GitLab            SourceType = "GITLAB"
	GitLabSelfManaged SourceType = "GITLAB_SELF_MANAGED"
	Bitbucket         SourceType = "BITBUCKET"
	CodeCommit        SourceType = "CODECOMMIT"

	// Clone makes the build clone the repository itself, with the Token of the
	// [Git] if it has one. It works with every host that serves git over http
	// or https.
	Clone SourceType = "NO_SOURCE"

	sourceUploaded SourceType = "S3"
)

// gitTypes are the types a [Git] source may have.
var gitTypes = []SourceType{GitHub, GitHubEnterprise, GitLab, GitLabSelfManaged, Bitbucket, CodeCommit, Clone}

// remote is a repository's URL without credentials, fragment and query.
type remote struct {
	scheme string // http, https or ssh
	host   string // with its port, unless that is the scheme's own
	path   string // starts with a slash, ends with none
	raw    string
	sure   bool // whether the URL begins with git+
}

var defaultPorts = map[string]string{"http": ":80", "https": ":443", "ssh": ":22"}

// gitScheme is a prefix that marks a URL as that of a git repository.
const gitScheme = "git+"

// otherSchemes maps the schemes of sources that docker or CodeBuild knows, or
// that people try, to what to use instead.
var otherSchemes = map[string]string{
	"docker-image": "an image holds no Dockerfile: write one that begins FROM that image, and name its directory",
	"file":         "name the directory by its path alone",
	"ftp":          "download it, and name its directory",
	"oci-layout":   "an image holds no Dockerfile: push it to a registry, write a Dockerfile that begins FROM it, and name its directory",
	"s3":           "download it (aws s3 cp --recursive), and name its directory",
}

func parseRemote(text string) (remote, error) {
	if strings.ContainsAny(text, "?#") {
		return remote{}, invalid("source: the URL of a Git has no query and no fragment: use its fields Ref, Subdir and Checksum, or ParseSource")
	}
	if scp := scpForm().FindStringSubmatch(text); scp != nil && !schemeForm().MatchString(text) {
		return remote{scheme: "ssh", host: strings.ToLower(scp[2]), path: "/" + strings.Trim(scp[3], "/"), raw: text}, nil
	}
	if err := checkScheme(text); err != nil {
		return remote{}, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return remote{}, notAURL(text)
	}
	scheme, sure := strings.CutPrefix(u.Scheme, gitScheme)
	if err := checkURL(u, scheme, text); err != nil {
		return remote{}, err
	}
	host := hostOfURL(u, scheme)
	return remote{scheme, host, strings.TrimRight(u.EscapedPath(), "/"), text, sure}, checkPage(host, u.EscapedPath())
}

// hostOfURL returns the host without the scheme's own port, and without a www
// that leads to a known host.
func hostOfURL(u *url.URL, scheme string) string {
	host := strings.TrimSuffix(strings.ToLower(u.Host), defaultPorts[scheme])
	if bare := strings.TrimPrefix(host, "www."); buildspec.GitSourceType(bare) != "" {
		return bare
	}
	return host
}

// checkScheme checks the scheme alone, because the rest need not be a URL, such
// as an image's name and tag.
func checkScheme(text string) error {
	scheme, _, found := strings.Cut(schemeForm().FindString(text), "://")
	scheme = strings.TrimPrefix(strings.ToLower(scheme), gitScheme)
	if _, known := defaultPorts[scheme]; known || !found {
		return nil
	}
	instead, hinted := otherSchemes[scheme]
	if !hinted {
		instead = "use https"
	}
	return invalid("source: %s URLs cannot be built from: %s", scheme, instead)
}

func checkURL(u *url.URL, scheme, text string) error {
	switch {
	case scheme == "" || u.Hostname() == "":
		return notAURL(text)
	case u.User != nil && (scheme != "ssh" || hasPassword(u)):
		return invalid("source: the URL for %s has credentials in it, which would lie open in the build's variables and log: leave out all before the @, and %s", u.Host, credentialsFor(u.Hostname()))
	case strings.HasPrefix(u.Host, "["):
		return invalid("source: the URL for %s names an IPv6 address, which is not supported: give the host's name", u.Host)
	}
	return nil
}

// credentialsFor returns advice on where the credentials for a host belong. A
// user name alone is a credential too, because git hosts accept tokens as user
// names.
func credentialsFor(host string) string {
	if (remote{host: strings.ToLower(host)}).sourceType() == Clone {
		return "put them into a secret of Secrets Manager that the stack lets builds read (AllowSecret of its construct), and name that: Git's Token, the command's --git-token"
	}
	return "give CodeBuild a connection or a token for that host (aws codebuild import-source-credentials, or SourceConnectionArn of the construct)"
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

func (r remote) sourceType() SourceType {
	return cmp.Or(SourceType(buildspec.GitSourceType(r.host)), Clone)
}

// servesGit reports whether a URL can only be that of a repository although it
// does not end in .git.
func (r remote) servesGit() bool {
	return strings.HasSuffix(r.path, ".git") ||
		r.sourceType() != Clone ||
		strings.Contains(r.path, "/_git/") || // Azure DevOps, in the cloud and on premises
		r.host == "git.sr.ht" ||
		strings.HasSuffix(r.host, ".googlesource.com")
}

// location returns the URL that the build is given. Hosts with a source type of
// their own are always accessed over https.
func (r remote) location(kind SourceType, sure bool) (string, error) {
	scheme := r.scheme
	known := buildspec.GitSourceType(r.host) != ""
	if known || scheme == "ssh" && kind != Clone {
		scheme = "https"
	}
	switch {
	case !isGitType(kind):
		return "", invalid("source: type %q: use one of %v", kind, gitTypes)
	case strings.Trim(r.path, "/") == "":
		return "", invalid("source %q names a host but no repository", r.raw)
	case known && strings.Count(r.path, "/") < 2:
		return "", invalid("source %q names no repository: write %s/OWNER/REPOSITORY", r.raw, r.host)
	case scheme == "ssh":
		return "", invalid("source %q: a build has no SSH key: use the repository's https URL", r.raw)
	case !sure && !r.sure && !r.servesGit():
		return "", invalid("source %q: a URL is taken for a git repository if it ends in .git or begins with git+https://: write it so, if it is one; archives and single files cannot be built from", r.raw)
	}
	return scheme + "://" + r.host + r.path, nil
}

func isGitType(kind SourceType) bool {
	for _, known := range gitTypes {
		if kind == known {
			return true
		}
	}
	return false
}
