package runner

import (
	"regexp"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// page is a kind of web page that a git host has for a repository. People copy
// its URL from the address bar.
type page struct {
	hosts []string // nil: any
	path  func() *regexp.Regexp
	use   string // the source to use instead, with the path's groups
}

const (
	repositoryOnHost = `^(/[^/]+/[^/]+?)(?:\.git)?`
	directoryAtRef   = `/([^/]+)(?:/(.+))?$`
	fileAtRef        = `/([^/]+)/(?:(.+)/)?([^/]+)$`
)

// browserPages are tried in order.
var browserPages = []page{
	{[]string{"github.com"}, lazyregexp.New(repositoryOnHost + `/tree` + directoryAtRef), "$1.git#$2:$3"},
	{[]string{"github.com"}, lazyregexp.New(repositoryOnHost + `/blob` + fileAtRef), "$1.git#$2:$3 with the Dockerfile $4"},
	{[]string{"github.com"}, lazyregexp.New(repositoryOnHost + `/pull/([0-9]+)`), "$1.git#refs/pull/$2/head"},
	{[]string{"github.com"}, lazyregexp.New(repositoryOnHost + `/(?:commit|commits|releases/tag)/([^/]+)`), "$1.git#$2"},
	{[]string{"bitbucket.org"}, lazyregexp.New(repositoryOnHost + `/src` + directoryAtRef), "$1.git#$2:$3"},
	{[]string{"bitbucket.org"}, lazyregexp.New(repositoryOnHost + `/(?:branch|commits)/(.+)$`), "$1.git#$2"},
	{[]string{"bitbucket.org"}, lazyregexp.New(repositoryOnHost + `/pull-requests/`), "$1.git#BRANCH with the pull request's branch"},
	{[]string{"github.com", "bitbucket.org"}, lazyregexp.New(repositoryOnHost + `/.+`), "$1.git"},
	{nil, lazyregexp.New(`^(/.+?)(?:\.git)?/-/tree` + directoryAtRef), "$1.git#$2:$3"},
	{nil, lazyregexp.New(`^(/.+?)(?:\.git)?/-/blob` + fileAtRef), "$1.git#$2:$3 with the Dockerfile $4"},
	{nil, lazyregexp.New(`^(/.+?)(?:\.git)?/-/(?:commit|commits|tags)/([^/]+)`), "$1.git#$2"},
	{nil, lazyregexp.New(`^(/.+?)(?:\.git)?/-/merge_requests/`), "$1.git#BRANCH with the merge request's branch"},
	{nil, lazyregexp.New(`^(/.+?)(?:\.git)?/-(?:/.*)?$`), "$1.git"},
}

// checkPage refuses the URL of a web page and names the source to use instead.
// It quotes neither query nor fragment, because they may hold anything.
func checkPage(host, path string) error {
	path = strings.TrimRight(path, "/")
	for _, p := range browserPages {
		if p.hosts != nil && !slices.Contains(p.hosts, host) {
			continue
		}
		match := p.path().FindStringSubmatchIndex(path)
		if match == nil {
			continue
		}
		use := strings.Replace(string(p.path().ExpandString(nil, p.use, path, match)), ": with", " with", 1)
		hint := ""
		if strings.Contains(p.use, ":$3") {
			hint = " (if the branch's own name has a slash, all of it comes before the colon)"
		}
		return invalid("source https://%s%s is a page for browsers: use https://%s%s%s", host, path, host, strings.TrimSuffix(use, ":"), hint)
	}
	return nil
}
