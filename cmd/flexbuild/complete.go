package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// completionPatience is how long a shell waits for values that a service has to
// be asked for.
const completionPatience = 2 * time.Second

// values returns what an argument or a flag can be. Errors mean no values.
type values func(ctx context.Context, t *target) []string

// completeValues makes shells complete the values of flags and arguments.
func completeValues(root *cobra.Command, t *target) {
	flags := map[string]values{
		"size":       fixed(string(runner.Small), string(runner.Medium), string(runner.Large), string(runner.XLarge), string(runner.XXLarge)),
		"platform":   fixed("linux/amd64", "linux/arm64"),
		"provenance": fixed("false", "min", "max"),
		"sbom":       fixed("false", "true"),
		"status":     fixed(statusWords()...),
		"stack":      stackNames,
		"tag":        repositoryNames,
	}
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		for name, complete := range flags {
			if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, t.completion(complete))
			}
		}
		if strings.Contains(cmd.Use, " BUILD") {
			cmd.ValidArgsFunction = t.completion(buildIDs)
		}
	}
}

func fixed(all ...string) values {
	return func(context.Context, *target) []string { return all }
}

// completion returns cobra's form of a function for values.
func (t *target) completion(complete values) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		if t.readSettings(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := slices.DeleteFunc(complete(ctx, t), func(value string) bool { return slices.Contains(args, value) })
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// stackNames returns the stacks that have an image builder.
func stackNames(ctx context.Context, t *target) (names []string) {
	cfg, err := t.config(ctx)
	if err != nil {
		return nil
	}
	pages := cloudformation.NewDescribeStacksPaginator(cloudformation.NewFromConfig(cfg), &cloudformation.DescribeStacksInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return names
		}
		for _, stack := range page.Stacks {
			for _, output := range stack.Outputs {
				if strings.HasSuffix(aws.ToString(output.OutputKey), buildspec.OutputContractVersion) {
					names = append(names, aws.ToString(stack.StackName))
					break
				}
			}
		}
	}
	return names
}

// repositoryNames returns the repositories that the stack names.
func repositoryNames(ctx context.Context, t *target) []string {
	client, err := t.client(ctx)
	if err != nil {
		return nil
	}
	names := slices.Clone(client.Stack().RepositoryNames)
	if prefix := client.Stack().RepositoryPrefix; prefix != "" {
		names = append(names, prefix)
	}
	return names
}

// buildIDs returns the latest builds, with their statuses and tags for people.
func buildIDs(ctx context.Context, t *target) (ids []string) {
	client, err := t.client(ctx)
	if err != nil {
		return nil
	}
	for info, err := range client.List(ctx) {
		if err != nil || len(ids) == 20 {
			break
		}
		_, id, _ := strings.Cut(info.BuildID, ":") // a colon ends a word in bash
		ids = append(ids, id+"\t"+string(info.Status)+" "+strings.Join(info.Tags, " "))
	}
	return ids
}
