package runner

import (
	"regexp"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// hint is advice about a reason.
type hint struct {
	reason func() *regexp.Regexp
	way    string
}

// hints are tried in order against a reason in CodeBuild's words. The words
// about git are those of CodeBuild, as far as reports show them, and of the
// local engine.
var hints = []hint{
	{lazyregexp.New(secretError + `.*AccessDenied`), "let builds read it, with the construct's AllowSecret or AllowParameter"},
	{lazyregexp.New(secretError + `.*(ResourceNotFound|can't find|does not exist)`), "create it in the build's account and region, or name another"},
	{lazyregexp.New(`(?i)authentication (required|failed)`), "the repository is private, or not there: give CodeBuild a token or a connection for its host, or check the one it has (aws codebuild import-source-credentials, or SourceConnectionArn of the construct)"},
	{lazyregexp.New(`(?i)authorization failed`), "the token or connection that CodeBuild has for the host may not read the repository: give it another (aws codebuild import-source-credentials)"},
	{lazyregexp.New(`(?i)repository not found`), "check its URL; hosts also say so of a private repository: CodeBuild then needs a token or a connection (aws codebuild import-source-credentials)"},
	{lazyregexp.New(`(?i)repository is empty`), "push a commit to it first"},
	{lazyregexp.New(`(?i)\bHEAD of the repository\b`), "name a branch that is there, as URL#branch"},
	{lazyregexp.New(`(?i)reference not found`), "name a branch, a tag or a commit of the repository"},
	{lazyregexp.New(`(?i)not a git repository|invalid pkt-len`), "the URL answers, but not as git does, such as with a web page: give the URL that git clone takes"},
	{lazyregexp.New(`(?i)repository not reachable|no such host|connection refused|i/o timeout`), "check the host's name, and that builds can reach it"},
}

// secretError begins the reason of a build that cannot read one of its secrets.
const secretError = `^(Secrets Manager|Decrypted Variables) Error`

var secretErrorForm = lazyregexp.New(secretError)

// explainReason adds advice to a reason. If one of the build's secrets cannot
// be read and CodeBuild does not say which, it adds their names.
func explainReason(reason string, secrets []string) string {
	if secretErrorForm().MatchString(reason) && !containsAny(reason, secrets) {
		reason += " (" + strings.Join(secrets, ", ") + ")"
	}
	for _, hint := range hints {
		if hint.reason().MatchString(reason) {
			return reason + ": " + hint.way
		}
	}
	return reason
}

// containsAny reports whether text contains one of the parts. Without parts it
// reports true.
func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return len(parts) == 0
}
