package runner

import (
	"net/url"
	"regexp"
	"strings"
)

// SourceType says who downloads a git repository.
type SourceType string

const (
	GitHub            SourceType = "GITHUB"
	GitHubEnterprise  SourceType = "GITHUB_ENTERPRISE"
	GitLab            SourceType = "GITLAB"
	GitLabSelfManaged SourceType = "GITLAB_SELF_MANAGED"
	Bitbucket         SourceType = "BITBUCKET"
	CodeCommit        SourceType = "CODECOMMIT"

	// Clone makes the build clone the repository itself, with the [Git]'s Token if it
	// has one. It works with any host that serves git over http or https.
	Clone SourceType = "NO_SOURCE"

	sourceUploaded SourceType = "S3"
)

// gitTypes are the types a [Git] source may have.
var gitTypes = []SourceType{GitHub, GitHubEnterprise, GitLab, GitLabSelfManaged, Bitbucket, CodeCommit, Clone}

// knownHosts serve only repositories, and CodeBuild has a source type for them.
var knownHosts = map[string]SourceType{
	"github.com":    GitHub,
	"gitlab.com":    GitLab,
	"bitbucket.org": Bitbucket,
}

var codeCommitForm = regexp.MustCompile(`^git-codecommit(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// remote is a repository's URL without credentials, fragment and query.
type remote struct {
	scheme string // http, https or ssh
	host   string // with its port, unless that is the scheme's own
	path   string // starts with a slash
	raw    string
}

var defaultPorts = map[string]string{"http": ":80", "https": ":443", "ssh": ":22"}

func parseRemote(text string) (remote, error) {
	if strings.ContainsAny(text, "?#") {
		return remote{}, invalid("source: the URL of a Git has no query and no fragment: use its fields Ref and Subdir, or ParseSource")
	}
	if scp := scpForm.FindStringSubmatch(text); scp != nil && !schemeForm.MatchString(text) {
		return remote{"ssh", strings.ToLower(scp[2]), "/" + strings.TrimPrefix(scp[3], "/"), text}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return remote{}, notAURL(text)
	}
	if _, ok := defaultPorts[u.Scheme]; !ok && u.Scheme != "" {
		return remote{}, invalid("source: %s URLs cannot be built from: use https", u.Scheme)
	}
	if u.Scheme == "" || u.Hostname() == "" {
		return remote{}, notAURL(text)
	}
	if u.User != nil && !isSSHUser(u) {
		return remote{}, invalid("source: the URL for %s has credentials in it, which would lie open in the build's variables and log: leave out all before the @, and %s", u.Host, credentialsFor(u.Hostname()))
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), defaultPorts[u.Scheme])
	return remote{u.Scheme, host, u.EscapedPath(), text}, nil
}

// credentialsFor says where the credentials for a host belong. A user name alone is
// one too: it is how git hosts take a token.
func credentialsFor(host string) string {
	if (remote{host: strings.ToLower(host)}).sourceType() == Clone {
		return "put them into a secret of Secrets Manager that the stack lets builds read (AllowSecret of its construct), and name that: Git's Token, the command's --git-token"
	}
	return "give CodeBuild a connection or a token for that host (aws codebuild import-source-credentials, or SourceConnectionArn of the construct)"
}

// isSSHUser: the user of an SSH URL is an account name, not a secret.
func isSSHUser(u *url.URL) bool {
	_, hasPassword := u.User.Password()
	return u.Scheme == "ssh" && !hasPassword
}

func (r remote) sourceType() SourceType {
	if known, ok := knownHosts[r.host]; ok {
		return known
	}
	if codeCommitForm.MatchString(r.host) {
		return CodeCommit
	}
	return Clone
}

// location is the URL that the build is given. Hosts with a source type of
// their own are always asked over https.
func (r remote) location(kind SourceType) (string, error) {
	if !isGitType(kind) {
		return "", invalid("source: type %q: use one of %v", kind, gitTypes)
	}
	if strings.Trim(r.path, "/") == "" {
		return "", invalid("source %q names a host but no repository", r.raw)
	}
	if kind != Clone {
		scheme := r.scheme
		if _, known := knownHosts[r.host]; known || scheme == "ssh" {
			scheme = "https"
		}
		return scheme + "://" + r.host + r.path, nil
	}
	if r.scheme == "ssh" {
		return "", invalid("source %q: a build has no SSH key: use the repository's https URL", r.raw)
	}
	if !strings.HasSuffix(r.path, ".git") && r.sourceType() == Clone {
		return "", invalid("source %q: a URL is taken for a git repository if it ends in .git: add that, if it is one; archives and single files cannot be built from", r.raw)
	}
	return r.scheme + "://" + r.host + r.path, nil
}

func isGitType(kind SourceType) bool {
	for _, known := range gitTypes {
		if kind == known {
			return true
		}
	}
	return false
}
