package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/runner"
)

// target is the stack that the command uses: the flags of all commands.
type target struct {
	stack, region, profile string
	team                   string // "" is none
	local                  bool
	stateDir               string
	settings               settings   // of the repository
	cfg                    aws.Config // of the last client
	interruption           *interruption
	elsewhere              bool // the endpoint is not AWS, so console links would not work
}

// helpOrVersion is the command without a subcommand.
func helpOrVersion(cmd *cobra.Command, _ []string) error {
	if asked, err := cmd.Flags().GetBool("version"); err != nil || !asked {
		return errors.Join(err, cmd.Help())
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
	return err
}

func newRoot(interruption *interruption) *cobra.Command {
	t := target{interruption: interruption}
	root := &cobra.Command{
		Use:               "flexbuild",
		Short:             "Build container images on AWS CodeBuild, or on the local engine",
		Args:              knownCommand,
		RunE:              helpOrVersion,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return t.readSettings(cmd) },

		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (%q explains the flags)", err, cmd.CommandPath()+" --help")
	})
	flags := root.PersistentFlags()
	flags.StringVar(&t.stack, "stack", cmp.Or(os.Getenv("FLEXBUILD_STACK"), buildspec.StackName), "name of the deployed stack (env FLEXBUILD_STACK)")
	flags.StringVar(&t.team, "team", os.Getenv("FLEXBUILD_TEAM"), "team whose uploads a directory is part of, where the stack keeps teams apart (env FLEXBUILD_TEAM)")
	flags.StringVar(&t.region, "region", "", "AWS region (default: that of the AWS settings)")
	flags.StringVar(&t.profile, "profile", "", "profile of the AWS settings")
	flags.BoolVar(&t.local, "local", false, "use the local engine of this machine (env FLEXBUILD_LOCAL)")
	flags.StringVar(&t.stateDir, "state-dir", stateDir(), "state directory of the local engine (env FLEXBUILD_STATE_DIR)")
	root.AddCommand(newUp(&t), newTemplate(), newBuild(&t), newBatch(&t), newWait(&t), newLogs(&t), newStatus(&t), newList(&t), newStop(&t), newLogin(&t), newDoctor(&t), newInit(&t), newLocal(&t), newVersion())
	// Not cobra's own flag: its text/template would keep every method of the AWS
	// SDK in the program, which would be twice as large.
	root.Flags().BoolP("version", "v", false, "version for flexbuild")
	root.InitDefaultCompletionCmd()
	completeValues(root, &t)
	return root
}

func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return usagef("unknown command %q: did you mean %q?", args[0], strings.Join(similar, `" or "`))
	}
	return usagef("unknown command %q: %q lists the commands", args[0], cmd.CommandPath()+" --help")
}

func stateDir() string {
	if dir := os.Getenv("FLEXBUILD_STATE_DIR"); dir != "" {
		return dir
	}
	return local.DefaultDir()
}

// client returns a client for the stack.
func (t *target) client(ctx context.Context, options ...runner.Option) (*runner.Client, error) {
	cfg, err := t.config(ctx)
	if err != nil {
		return nil, err
	}
	t.cfg, t.elsewhere = cfg, cfg.BaseEndpoint != nil
	return runner.New(ctx, cfg, t.stack, append(options, runner.WithTeam(t.team))...)
}

// build returns the build with the given id. It looks for the build, so that an
// unknown id is reported at once.
func (t *target) build(ctx context.Context, client *runner.Client, id string) (*runner.Build, error) {
	build := client.Build(id)
	_, err := build.Info(ctx)
	if errors.Is(err, runner.ErrBuildNotFound) {
		return nil, usageError{err}
	}
	return build, err
}

// logOf returns where people find a build's log: the page of AWS's console, or
// the command that prints it, with the flags that this command was given.
func (t *target) logOf(cmd *cobra.Command, id, page string) string {
	if page == "" || !t.elsewhere {
		return page
	}
	return t.commandLine(cmd, "flexbuild logs", id)
}

// withoutConsole returns the state without a link to AWS's console if the
// console does not know the build.
func (t *target) withoutConsole(info runner.Info) runner.Info {
	if t.elsewhere {
		info.LogURL = ""
	}
	return info
}

// commandLine is a command for people to type that talks to the same stack.
func (t *target) commandLine(cmd *cobra.Command, command string, args ...string) string {
	words := []string{command}
	if t.local {
		words = append(words, "--local")
	}
	for _, name := range []string{"state-dir", "stack", "region", "profile"} {
		if flag := cmd.Flag(name); flag.Changed {
			words = append(words, "--"+name, shellQuote(flag.Value.String()))
		}
	}
	return strings.Join(append(words, args...), " ")
}

// config returns the configuration of the local engine, or that of the AWS
// settings.
func (t *target) config(ctx context.Context) (aws.Config, error) {
	if t.local {
		return t.localConfig()
	}
	var options []func(*config.LoadOptions) error
	if t.region != "" {
		options = append(options, config.WithRegion(t.region))
	}
	if t.profile != "" {
		options = append(options, config.WithSharedConfigProfile(t.profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, usagef("read the AWS settings: %w", err)
	}
	cfg.Logger = logging.Nop{} // errors are returned, so nothing is logged
	return cfg, nil
}

func (t *target) localConfig() (aws.Config, error) {
	if t.profile != "" {
		return aws.Config{}, usagef("--local cannot be combined with --profile: the local engine has keys of its own")
	}
	endpoint, err := local.ReadEndpoint(t.stateDir)
	if err != nil {
		return aws.Config{}, err
	}
	cfg := endpoint.Config()
	if t.region != "" && t.region != cfg.Region {
		return aws.Config{}, usagef("--region %s: the local engine serves %s", t.region, cfg.Region)
	}
	cfg.Logger = logging.Nop{}
	return cfg, nil
}

// exactArgs is like cobra.ExactArgs. Its error names the missing arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usagef("%s takes %d argument(s) %v, got %q", cmd.CommandPath(), len(names), names, args)
	}
}
