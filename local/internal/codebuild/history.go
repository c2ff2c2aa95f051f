package codebuild

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/paging"
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

// pageOf returns a page of items, as paging.Page does.
func pageOf(items []string, token *string) ([]string, *string, error) {
	page, next, err := paging.Page(items, func(item string) string { return item }, token, pageSize)
	if errors.Is(err, paging.ErrToken) {
		err = invalid("Invalid next token: %s", *token)
	}
	return page, next, err
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
