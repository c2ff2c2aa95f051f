package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// gitEnvironment isolates git: it gets no configuration and no credential
// helper of the user, no prompt, and only HTTP to reach a repository. The
// options apply to all its sub-processes.
func (in *input) gitEnvironment() map[string]string {
	variables := map[string]string{
		"PATH":                    in.path(),
		"HOME":                    in.folder.home(),
		"LANG":                    "C.UTF-8",
		"GIT_CONFIG_NOSYSTEM":     "1",
		"GIT_CONFIG_GLOBAL":       "/dev/null",
		"GIT_TERMINAL_PROMPT":     "0",
		"GIT_CEILING_DIRECTORIES": in.folder.root, // a repository around the work folder is not the build's
		"GIT_ALLOW_PROTOCOL":      "http:https",
		"GIT_CONFIG_COUNT":        "2",
		"GIT_CONFIG_KEY_0":        "core.hooksPath",
		"GIT_CONFIG_VALUE_0":      "/dev/null",
		"GIT_CONFIG_KEY_1":        "gc.auto", // nothing in the background
		"GIT_CONFIG_VALUE_1":      "0",
	}
	if aws.ToBool(in.source.InsecureSsl) {
		variables["GIT_SSL_NO_VERIFY"] = "true"
	}
	for name, value := range in.tools.Environment {
		if strings.HasSuffix(strings.ToLower(name), "_proxy") {
			variables[name] = value
		}
	}
	return variables
}

// A gitError is the error of a git command.
type gitError struct {
	command string
	message string
}

func (e *gitError) Error() string { return "git " + e.command + " failed: " + e.message }

// git runs git in the folder of the source and returns what it prints.
func (in *input) git(ctx context.Context, args ...string) (string, error) {
	out, _, err := in.traceGit(ctx, nil, args...)
	return out, err
}

// traceGit also returns what git writes to stderr, with more variables for it.
func (in *input) traceGit(ctx context.Context, variables []string, args ...string) (out, problems string, err error) {
	command := in.command("git", args...)
	command.Dir = in.dir
	command.Env = append(list(in.gitEnvironment()), variables...)
	out, problems, err = in.capture(ctx, command)
	if err != nil && ctx.Err() == nil {
		err = &gitError{command: args[0], message: complaint(problems, err)}
	}
	return strings.TrimSpace(out), problems, err
}

// complaint returns git's reason for failing, without its prefix.
func complaint(problems string, err error) string {
	for line := range strings.SplitSeq(problems, "\n") {
		if message, ok := strings.CutPrefix(line, "fatal: "); ok {
			return message
		}
	}
	if text := strings.TrimSpace(problems); text != "" {
		return text
	}
	return err.Error()
}

// fetchRepository clones the repository and checks out the requested version,
// detached.
func (in *input) fetchRepository(ctx context.Context) error {
	if err := in.connect(ctx); err != nil {
		return err
	}
	commit, err := in.clone(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return in.sourceFailed(reason(err))
	}
	if in.primary() {
		in.document.ResolvedSourceVersion = &commit
		in.record.ResolvedSource(commit)
	}
	return nil
}

// reasons maps messages of git to CodeBuild's messages, as far as these are
// known. The runner has advice for each.
var reasons = []struct {
	git    func() *regexp.Regexp
	reason string
}{
	{lazyregexp.New(`repository '.*' not found`), "repository not found"},
	{lazyregexp.New(`could not read (Username|Password)|Authentication failed`), "authentication required"},
	{lazyregexp.New(`error: 403`), "authorization failed"},
	{lazyregexp.New(`is this a git repository|invalid server response|bad line length|protocol error|unable to update url base from redirection`), "not a git repository"},
	{lazyregexp.New(`Could not resolve host|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)|SSL|certificate`), "repository not reachable"},
}

func reason(err error) string {
	for _, r := range reasons {
		if r.git().MatchString(err.Error()) {
			return fmt.Sprintf("%s (%v)", r.reason, err)
		}
	}
	return err.Error()
}

// These are the errors for a version that a server does not have.
var (
	errEmpty       = errors.New("remote repository is empty")
	errNoGit       = errors.New("not a git repository")
	errNoHead      = errors.New("reference not found: HEAD of the repository names a branch that is not there")
	errNoReference = errors.New("reference not found")
)

func (in *input) clone(ctx context.Context) (commit string, err error) {
	references, err := in.references(ctx, *in.source.Location)
	if err != nil {
		return "", err
	}
	if _, err := in.git(ctx, "init", "--quiet", "--object-format="+objectFormat(references)); err != nil {
		return "", err
	}
	if _, err := in.git(ctx, "remote", "add", "origin", *in.source.Location); err != nil {
		return "", err
	}
	commit, err = in.fetchVersion(ctx, references, in.source.Version)
	if err != nil {
		return "", err
	}
	if _, err := in.git(ctx, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit, "--"); err != nil {
		return "", err
	}
	if config := in.source.GitSubmodulesConfig; config != nil && aws.ToBool(config.FetchSubmodules) {
		_, err = in.git(ctx, append([]string{"submodule", "update", "--quiet", "--init", "--recursive"}, in.depth()...)...)
	}
	return commit, err
}

func (in *input) depth() []string {
	if n := aws.ToInt32(in.source.GitCloneDepth); n > 0 {
		return []string{fmt.Sprintf("--depth=%d", n)}
	}
	return nil // AWS's default is the whole history
}

var (
	fullCommit   = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	shortCommit  = lazyregexp.New(`^[0-9a-f]{7,64}$`)
	pullRequest  = lazyregexp.New(`^pr/([0-9]+)$`)
	pinnedCommit = lazyregexp.New(`^(refs/[^{}]+)\^\{([0-9a-f]{40}|[0-9a-f]{64})\}$`)
)

// references returns the references of a repository and their hashes.
func (in *input) references(ctx context.Context, url string) (map[string]string, error) {
	listing, err := in.git(ctx, "ls-remote", "--quiet", "--", url)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.SplitSeq(listing, "\n") {
		if hash, name, found := strings.Cut(line, "\t"); found {
			all[name] = hash
		}
	}
	if len(all) == 0 {
		return nil, in.noReferences(ctx, url)
	}
	return all, nil
}

// noReferences distinguishes an empty repository from a web page, which git
// takes for an empty one of its oldest protocol. Only a git server sends
// packets.
func (in *input) noReferences(ctx context.Context, url string) error {
	_, trace, err := in.traceGit(ctx, []string{"GIT_TRACE_PACKET=1"}, "ls-remote", "--quiet", "--", url)
	if err == nil && !strings.Contains(trace, "packet:") {
		return errNoGit
	}
	return errEmpty
}

// objectFormat returns the kind of a repository's hashes. All hashes of a
// repository are of one kind.
func objectFormat(references map[string]string) string {
	for _, hash := range references {
		if len(hash) == sha256.Size*2 {
			return "sha256"
		}
	}
	return "sha1"
}

// fetchVersion fetches what version names and returns its commit. The forms are
// those of AWS's "source version sample": none, a branch, a tag, a commit,
// pr/N, refs/pull/N/head, a reference with a commit of it.
func (in *input) fetchVersion(ctx context.Context, references map[string]string, version string) (commit string, err error) {
	if pinned := pinnedCommit().FindStringSubmatch(version); pinned != nil {
		if _, err := in.fetchReference(ctx, pinned[1], false); err != nil {
			return "", err
		}
		return in.commitOf(ctx, pinned[2])
	}
	if pr := pullRequest().FindStringSubmatch(version); pr != nil {
		version = "refs/pull/" + pr[1] + "/head"
	}
	if reference := findReference(references, version); reference != "" {
		return in.fetchReference(ctx, reference, true)
	}
	if version == "" {
		return "", errNoHead
	}
	return in.fetchCommit(ctx, version)
}

// findReference returns the reference that a version means, or "". As with
// docker, a branch comes before a tag of the same name.
func findReference(references map[string]string, version string) string {
	for _, name := range []string{"refs/heads/" + version, "refs/tags/" + version, cmp.Or(version, "HEAD")} {
		if references[name] != "" {
			return name
		}
	}
	return ""
}

// fetchReference fetches a reference and returns its commit.
func (in *input) fetchReference(ctx context.Context, reference string, shallow bool) (string, error) {
	args := []string{"fetch", "--quiet", "--no-tags"}
	if shallow {
		args = append(args, in.depth()...)
	}
	if _, err := in.git(ctx, append(args, "origin", "+"+reference+":refs/codebuild/source")...); err != nil {
		return "", err
	}
	return in.commitOf(ctx, "refs/codebuild/source")
}

// fetchCommit fetches a commit by its hash. It may have to fetch the whole
// repository.
func (in *input) fetchCommit(ctx context.Context, version string) (string, error) {
	if !shortCommit().MatchString(version) {
		return "", errNoReference
	}
	if fullCommit().MatchString(version) {
		if commit, err := in.fetchReference(ctx, version, true); err == nil || ctx.Err() != nil {
			return commit, err
		} // a server may refuse to serve a commit by its hash
	}
	if _, err := in.git(ctx, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"); err != nil {
		return "", err
	}
	return in.commitOf(ctx, version)
}

// commitOf returns the commit of a revision.
func (in *input) commitOf(ctx context.Context, revision string) (string, error) {
	commit, err := in.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil && ctx.Err() == nil {
		err = errNoReference
	}
	return commit, err
}
