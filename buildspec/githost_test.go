package buildspec

import "testing"

func TestGitSourceTypeKnowsTheHostsOfCodeBuild(t *testing.T) {
	for host, want := range map[string]string{
		"github.com": "GITHUB", "gitlab.com": "GITLAB", "bitbucket.org": "BITBUCKET",
		"git-codecommit.eu-west-1.amazonaws.com":          "CODECOMMIT",
		"git-codecommit-fips.us-gov-west-1.amazonaws.com": "CODECOMMIT",
		"git-codecommit.cn-north-1.amazonaws.com.cn":      "CODECOMMIT",
		"gitea.example.com":                               "", "": "", "github.com.example.com": "", "git-codecommit.x.amazonaws.com.evil.com": "",
	} {
		if got := GitSourceType(host); got != want {
			t.Errorf("%q is of type %q, want %q", host, got, want)
		}
	}
}
