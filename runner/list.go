package runner

import (
	"context"
	"iter"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// List returns the builds of the stack's project, the latest first, as far back
// as CodeBuild remembers them (a year). They are fetched a hundred at a time:
// leave the loop when you have seen enough.
func (c *Client) List(ctx context.Context) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var token *string
		for {
			page, err := c.listPage(ctx, token)
			if err != nil {
				yield(Info{}, explain("list the builds of project "+c.stack.ProjectName, err))
				return
			}
			if !c.yieldBuilds(ctx, page.Ids, yield) || page.NextToken == nil {
				return
			}
			token = page.NextToken
		}
	}
}

func (c *Client) listPage(ctx context.Context, token *string) (*codebuild.ListBuildsForProjectOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{
		ProjectName: &c.stack.ProjectName,
		SortOrder:   types.SortOrderTypeDescending,
		NextToken:   token,
	})
}

func (c *Client) yieldBuilds(ctx context.Context, ids []string, yield func(Info, error) bool) bool {
	if len(ids) == 0 {
		return true
	}
	found, err := getBuilds(ctx, c.builds, ids)
	if err != nil {
		return yield(Info{}, explain("get the state of builds", err)) && false
	}
	for _, id := range ids {
		if info, ok := found[id]; ok && !yield(info, nil) {
			return false
		}
	}
	return true
}
