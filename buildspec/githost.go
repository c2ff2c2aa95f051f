package buildspec

import "github.com/codebuild-flex/flexbuild/internal/lazyregexp"

// gitHosts maps the hosts that serve only repositories to their source types in
// CodeBuild.
var gitHosts = map[string]string{
	"github.com":    "GITHUB",
	"gitlab.com":    "GITLAB",
	"bitbucket.org": "BITBUCKET",
}

var codeCommitForm = lazyregexp.New(`^git-codecommit(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// GitSourceType returns CodeBuild's source type for the git repositories of a
// host, in lower case, or "" if CodeBuild does not know the host. The build
// itself then clones the repository ([Params.GitURL]).
func GitSourceType(host string) string {
	if codeCommitForm().MatchString(host) {
		return "CODECOMMIT"
	}
	return gitHosts[host]
}
