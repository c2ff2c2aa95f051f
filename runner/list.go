package runner

import (
	"context"
	"iter"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// List iterates over the builds of the stack's project, newest first, as far
// back as CodeBuild keeps them (a year). Options select some of them. The
// builds are fetched a hundred at a time: leave the loop when you have enough.
func (c *Client) List(ctx context.Context, opts ...ListOption) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var token *string
		for {
			page, err := c.listPage(ctx, token)
			if err != nil {
				yield(Info{}, explain("list the builds of project "+c.stack.ProjectName, err))
				return
			}
			if !c.yieldBuilds(ctx, page.Ids, opts, yield) || page.NextToken == nil {
				return
			}
			token = page.NextToken
		}
	}
}

func (c *Client) listPage(ctx context.Context, token *string) (page *codebuild.ListBuildsForProjectOutput, err error) {
	err = c.calls.retry(ctx, "ListBuildsForProject", func(ctx context.Context) (err error) {
		page, err = c.builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{
			ProjectName: &c.stack.ProjectName,
			SortOrder:   types.SortOrderTypeDescending,
			NextToken:   token,
		})
		return err
	})
	return page, err
}

func (c *Client) yieldBuilds(ctx context.Context, ids []string, opts []ListOption, yield func(Info, error) bool) bool {
	if len(ids) == 0 {
		return true
	}
	var found map[string]Info
	err := c.calls.retry(ctx, "BatchGetBuilds", func(ctx context.Context) error {
		out, err := c.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: ids})
		if err == nil {
			found = parseBuilds(out)
		}
		return err
	})
	if err != nil {
		return yield(Info{}, explain("get the state of builds", err)) && false
	}
	for _, id := range ids {
		if info, ok := found[id]; ok && matches(info, opts) && !yield(info, nil) {
			return false
		}
	}
	return true
}

// ListOption selects builds of [Client.List].
type ListOption func(Info) bool

// WithMetadata selects the builds whose request had the given entry in its
// Metadata.
func WithMetadata(key, value string) ListOption {
	return func(i Info) bool {
		found, ok := i.Metadata[key]
		return ok && found == value
	}
}

func matches(info Info, opts []ListOption) bool {
	for _, chooses := range opts {
		if !chooses(info) {
			return false
		}
	}
	return true
}
