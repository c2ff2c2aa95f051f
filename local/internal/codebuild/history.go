package codebuild

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// pageSize is how many ids or names a page of a list has.
const pageSize = 100

// An entry is a build in the history.
type entry struct {
	sequence int64
	id       string
	project  string
}

// ListBuilds lists the ids of all builds, 100 at a time, by default the newest
// first.
func (s *Service) ListBuilds(_ context.Context, in *codebuild.ListBuildsInput) (*codebuild.ListBuildsOutput, error) {
	page, next, err := s.list(func(entry) bool { return true }, in.SortOrder, in.NextToken)
	return &codebuild.ListBuildsOutput{Ids: page, NextToken: next}, err
}

// ListBuildsForProject lists the ids of a project's builds, 100 at a time, by
// default the newest first.
func (s *Service) ListBuildsForProject(_ context.Context, in *codebuild.ListBuildsForProjectInput) (*codebuild.ListBuildsForProjectOutput, error) {
	project, err := s.project(aws.ToString(in.ProjectName))
	if err != nil {
		return nil, err
	}
	ofProject := func(e entry) bool { return e.project == *project.Name }
	page, next, err := s.list(ofProject, in.SortOrder, in.NextToken)
	return &codebuild.ListBuildsForProjectOutput{Ids: page, NextToken: next}, err
}

func (s *Service) list(wanted func(entry) bool, order types.SortOrderType, token *string) ([]string, *string, error) {
	if err := checkEnum("sortOrder", order, types.SortOrderType("").Values()); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	ids := make([]string, 0, len(s.history))
	for _, e := range s.history {
		if wanted(e) {
			ids = append(ids, e.id)
		}
	}
	s.mu.Unlock()
	if order != types.SortOrderTypeAscending {
		slices.Reverse(ids)
	}
	return pageOf(ids, token)
}

// pageOf returns the page after token, and the token of the next page. A token
// is the last item of its page, so items that are added meanwhile neither hide
// nor repeat another one.
func pageOf(items []string, token *string) (page []string, next *string, err error) {
	start := 0
	if t := aws.ToString(token); t != "" {
		last, err := base64.URLEncoding.DecodeString(t)
		start = slices.Index(items, string(last)) + 1
		if err != nil || start == 0 {
			return nil, nil, invalid("Invalid next token: %s", t)
		}
	}
	end := min(start+pageSize, len(items))
	if end < len(items) {
		next = aws.String(base64.URLEncoding.EncodeToString([]byte(items[end-1])))
	}
	return items[start:end], next, nil
}

// unique drops repetitions and keeps the order.
func unique(items []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, item := range items {
		if !seen[item] {
			seen[item] = true
			kept = append(kept, item)
		}
	}
	return kept
}
