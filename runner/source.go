package runner

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// Source is where a build gets its Dockerfile and its context: a [Git], a
// [Dir], an [FS] or a [Tar]. [ParseSource] parses the first two from text.
type Source interface {
	fmt.Stringer

	// prepare returns how a build gets the source. dockerfile is the request's,
	// relative to the context.
	prepare(dockerfile string) (prepared, error)
}

// prepared is a source in the terms of CodeBuild and the contract.
type prepared struct {
	sourceType SourceType
	location   string // URL of the repository; empty for a directory, until it is uploaded
	ref        string // branch, tag or commit
	version    string // the ref in CodeBuild's terms; empty for a directory and if the build clones
	checksum   string // what the commit must begin with
	token      string // name of the secret with the token for the clone
	context    string
	dockerfile string
	upload     *buildcontext.Context // a directory to be packed; nil for a repository
	sha256     string                // of the directory's archive, once it is uploaded
	remove     func()                // removes a temporary directory; nil if there is none
}

// ParseSource reads a source as `docker build` reads its argument:
//
//	.                                     a directory that exists
//	https://host/org/repo.git             a repository at its default branch
//	https://host/org/repo.git#v1.2        at a branch, a tag or a commit
//	https://host/org/repo.git#v1.2:api    the directory api in it
//	https://host/org/repo.git#:api
//	https://host/repo.git?branch=main&subdir=api
//	https://host/repo.git?tag=v1&checksum=1a2b3c4   if its commit begins so
//	github.com/org/repo                   as https
//	git@github.com:org/repo.git           as https, where the host is one that CodeBuild knows
//	git+https://host/org/repo             a repository, whatever its URL ends in
//
// Unlike docker, it also takes an https URL without ".git" at the end where the
// host or the path shows that it is a repository's. See [Git] for what cannot
// be built.
func ParseSource(text string) (Source, error) {
	if info, err := os.Stat(text); err == nil && info.IsDir() {
		return Dir(text), nil
	}
	if text == "" || text == "-" {
		return nil, invalid("source %q: name a directory (such as .) or a git URL", text)
	}
	if !isRemote(text) {
		return nil, invalid("source%s is neither a directory that exists nor a git URL such as https://github.com/org/repo.git#main", quote(text))
	}
	git, err := parseGit(text)
	if err != nil {
		return nil, err
	}
	if _, err := git.prepare(""); err != nil {
		return nil, err
	}
	return git, nil
}

var (
	schemeForm = lazyregexp.New(`^[a-zA-Z0-9+.-]+://`)
	scpForm    = lazyregexp.New(`^([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):([^?#]*)(\?[^#]*)?(#.*)?$`)
)

const bareGitHub = "github.com/" // the one host that docker accepts without a scheme

func isRemote(text string) bool {
	return strings.HasPrefix(text, bareGitHub) || schemeForm().MatchString(text) || scpForm().MatchString(text)
}

// parseGit separates the fragment and the query from the URL.
func parseGit(text string) (Git, error) {
	if strings.HasPrefix(text, bareGitHub) {
		text = "https://" + text
	}
	if !schemeForm().MatchString(text) {
		return parseSCP(text)
	}
	if err := checkScheme(text); err != nil {
		return Git{}, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return Git{}, notAURL(text)
	}
	if err := checkPage(hostOfURL(u, strings.TrimPrefix(u.Scheme, gitScheme)), u.EscapedPath()); err != nil {
		return Git{}, err
	}
	query, err := parseQuery(u.RawQuery)
	if err != nil {
		return Git{}, err
	}
	git, err := gitOptions(query, u.Fragment)
	u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = "", "", "", false
	git.URL = u.String()
	return git, err
}

// parseSCP parses user@host:path. url.Parse would take the path for a port.
func parseSCP(text string) (Git, error) {
	part := scpForm().FindStringSubmatch(text)
	query, err := parseQuery(strings.TrimPrefix(part[4], "?"))
	if err != nil {
		return Git{}, err
	}
	git, err := gitOptions(query, strings.TrimPrefix(part[5], "#"))
	git.URL = part[1] + "@" + part[2] + ":" + part[3]
	return git, err
}

// parseQuery refuses what url.URL's Query would ignore, such as a checksum
// after a semicolon. Its errors quote nothing, because a query may hold tokens.
func parseQuery(text string) (url.Values, error) {
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, invalid("source: its query cannot be read: write name=value pairs with & between them, and other characters as %%XX")
	}
	return query, nil
}

// gitOptions parses docker's two ways to name a ref and a directory. Its errors
// do not quote values of unknown names, because they may be tokens.
func gitOptions(query url.Values, fragment string) (Git, error) {
	var git Git
	git.Ref, git.Subdir, _ = strings.Cut(fragment, ":")
	set := func(field *string, name, value string) error {
		if value == "" || *field != "" && *field != value {
			return invalid("source: its query's %q is empty, or contradicts what else the URL says", name)
		}
		*field = value
		return nil
	}
	for name, values := range query {
		var err error
		value := values[len(values)-1]
		switch {
		case len(values) > 1:
			err = invalid("source: its query names %q twice", name)
		case name == "ref":
			err = set(&git.Ref, name, value)
		case name == "commit", name == "checksum":
			err = set(&git.Checksum, name, value)
		case name == "tag":
			err = set(&git.Ref, name, withPrefix("refs/tags/", value))
		case name == "branch":
			err = set(&git.Ref, name, withPrefix("refs/heads/", value))
		case name == "subdir":
			err = set(&git.Subdir, name, value)
		case name == "keep-git-dir":
			err = invalid("source: its query's %q is not supported: use the build argument BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", name)
		default:
			err = invalid("source: its query's %q is not supported: use ref, tag, branch, checksum and subdir, or the form URL#ref:directory", name)
		}
		if err != nil {
			return Git{}, err
		}
	}
	return git, nil
}

func withPrefix(prefix, value string) string {
	if value == "" || strings.HasPrefix(value, prefix) {
		return value
	}
	return prefix + value
}

func notAURL(text string) error { return invalid("source%s: not a valid URL", quote(text)) }

// quote quotes a text unless the text may hold a password.
func quote(text string) string {
	if strings.Contains(text, "@") {
		return ""
	}
	return fmt.Sprintf(" %q", text)
}

// Dir is a directory of this machine that is the build context. It is packed
// without what its .dockerignore excludes, and uploaded to the stack's source
// bucket unless the same content is already there. Packed, it may have at most
// 4 GiB.
//
// The build gets the directory as docker would send it: with links, modes,
// times and names of any bytes, and without sockets, devices and extended
// attributes. The Dockerfile may lie outside of it.
//
// A hash of the directory's names, sizes and times is kept in the user's cache
// directory, if there is one, so that an unchanged directory need not be
// packed.
type Dir string

func (d Dir) String() string { return string(d) }

func (d Dir) prepare(dockerfile string) (prepared, error) {
	if d == "" {
		return prepared{}, invalid(`source: the directory has no name: use Dir(".") for the current one`)
	}
	packed, err := buildcontext.Open(string(d), dockerfile)
	if err != nil {
		return prepared{}, fmt.Errorf("%w: source: %w", ErrInvalidRequest, err)
	}
	return prepared{
		sourceType: sourceUploaded,
		context:    packed.Dir,
		dockerfile: defaultToEmpty(packed.Dockerfile, "Dockerfile"),
		upload:     packed,
	}, nil
}

// defaultToEmpty returns "" for the standard value, which a build need not be
// given.
func defaultToEmpty(value, standard string) string {
	if value == standard {
		return ""
	}
	return value
}

// Git is a git repository. CodeBuild downloads it if it knows the host, with
// the credentials that it has for that host; public repositories need none.
// Otherwise the build clones it.
//
// A build has no SSH key. An SSH URL is therefore turned into https for hosts
// that CodeBuild knows, and refused for others. URLs with credentials are
// refused, because they would be visible in the build's variables and in its
// log.
type Git struct {
	// URL is the http or https URL of the repository. If neither its end nor
	// its host shows that it is a repository's, set Type or put git+ before it:
	// git+https://host/repo.
	URL string
	// Ref is a branch, a tag or a commit. The default is the repository's HEAD.
	// If a branch and a tag have the same name, it means the branch.
	Ref string
	// Checksum is a prefix of the commit's hash, 7 to 64 hexadecimal digits,
	// with which the commit must begin. Without a Ref it is also the commit to
	// build. The default accepts any commit.
	Checksum string
	// Subdir is the directory in the repository that is the build context. The
	// default is the repository's top.
	Subdir string
	// Type is needed only if the host does not determine it: for GitHub
	// Enterprise and for a GitLab server of your own. The default follows from
	// the host, and is [Clone] for unknown hosts.
	Type SourceType
	// Token is the name or ARN of a secret in Secrets Manager, optionally
	// followed by :json-key:version-stage:version-id. It authorizes the build's
	// clone if CodeBuild does not know the host. The secret is a token, or
	// user:token, and the stack must let builds read it (AllowSecret of the
	// construct). The build sends it over https only. The default is none.
	Token string
}

func (g Git) String() string {
	text := g.URL
	if u, err := url.Parse(g.URL); err == nil && u.User != nil && (u.Scheme != "ssh" || hasPassword(u)) {
		u.User = url.User("xxxxx") // as net/url redacts a password
		text = u.String()
	}
	if g.Ref == "" && g.Subdir == "" {
		return text
	}
	text += "#" + g.Ref
	if g.Subdir != "" {
		text += ":" + g.Subdir
	}
	return text
}

func (g Git) prepare(dockerfile string) (prepared, error) {
	remote, err := parseRemote(g.URL)
	if err != nil {
		return prepared{}, err
	}
	kind := g.Type
	if kind == "" {
		kind = remote.sourceType()
	}
	location, err := remote.location(kind, g.Type != "")
	if err != nil {
		return prepared{}, err
	}
	if g.Token != "" && kind != Clone {
		return prepared{}, invalid("source: a token for type %s, whose credentials CodeBuild has itself (aws codebuild import-source-credentials): remove it", kind)
	}
	ref, err := g.commitOrRef()
	if err != nil {
		return prepared{}, err
	}
	version, err := g.sourceVersion(kind, ref)
	if err != nil {
		return prepared{}, err
	}
	context := strings.TrimLeft(g.Subdir, "/")
	if escapes(path.Join(context, dockerfile)) || escapes(context) {
		return prepared{}, invalid("source: %q leads out of the repository: name what is inside of it", path.Join(context, dockerfile))
	}
	return prepared{
		sourceType: kind,
		location:   location,
		ref:        ref,
		version:    version,
		checksum:   strings.ToLower(g.Checksum),
		token:      g.Token,
		context:    context,
		dockerfile: dockerfile,
	}, nil
}

var fullCommit = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// commitOrRef returns the commit or ref to check out.
func (g Git) commitOrRef() (string, error) {
	sum := strings.ToLower(g.Checksum)
	switch {
	case g.Ref == "":
		return sum, nil
	case fullCommit().MatchString(g.Ref) && !strings.HasPrefix(g.Ref, sum):
		return "", invalid("source: the commit %s does not begin with the checksum %q: name the one that is meant", g.Ref, g.Checksum)
	}
	return g.Ref, nil
}

var pullForm = lazyregexp.New(`^(?:refs/pull/([0-9]+)/head|pr/([0-9]+))$`)

// sourceVersion returns a ref in a form that AWS documents (its "source version
// sample"): the name of a branch, a tag or a commit, pr/N for the head of a
// GitHub pull request, or a full reference if its commit is known too.
func (g Git) sourceVersion(kind SourceType, ref string) (string, error) {
	if kind == Clone || ref == "HEAD" {
		return "", nil
	}
	if pull := pullForm().FindStringSubmatch(ref); pull != nil {
		if kind != GitHub && kind != GitHubEnterprise {
			return "", invalid("source: ref %q: CodeBuild has pull requests of GitHub only: name the branch, or its last commit", ref)
		}
		return "pr/" + pull[1] + pull[2], nil
	}
	name, isBranch := strings.CutPrefix(ref, "refs/heads/")
	name, isTag := strings.CutPrefix(name, "refs/tags/")
	if !isBranch && !isTag {
		if strings.HasPrefix(ref, "refs/") {
			return "", invalid("source: ref %q: CodeBuild takes a branch, a tag or a commit of a %s repository: name one of these", ref, kind)
		}
		return ref, nil
	}
	if sum := strings.ToLower(g.Checksum); fullCommit().MatchString(sum) && kind != GitLab && kind != GitLabSelfManaged {
		return ref + "^{" + sum + "}", nil
	}
	return name, nil
}

func escapes(name string) bool {
	clean := path.Clean(name)
	return clean == ".." || strings.HasPrefix(clean, "../")
}
