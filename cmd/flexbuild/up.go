package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/internal/deploy"
	"github.com/codebuild-flex/flexbuild/runner"
)

func newUp(t *target) *cobra.Command {
	var options deployOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create or update the stack",
		Long: `Create the stack (--stack), or update it, with the template that "flexbuild
template" prints, and wait until that is done.

Stderr shows what will change, then what happens to each resource. Stdout has the
stack's outputs, each on a line "Name<TAB>value". If CloudFormation is already
working on the stack, up waits for that first. A stack that was made from another
template is refused.

A parameter that is not given keeps the stack's value, and in a new stack has the
template's default:

  flexbuild up --parameter ComputeType=BUILD_GENERAL1_LARGE --parameter TimeoutInMinutes=90

Ctrl-C ends the command. A deployment that has started goes on, and running the
same command again waits for it.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := t.config(cmd.Context())
			if err != nil {
				return err
			}
			if err := checkSettings(cmd, cfg); err != nil {
				return err
			}
			return options.deploy(cmd, t, cfg, deploy.Deployment{
				Template: flexbuild.Template, ImportExisting: options.importExisting, RefuseOthers: true,
			})
		},
	}
	options.addFlags(cmd)
	cmd.Flags().BoolVar(&options.importExisting, "import-existing-resources", false, "take over repositories and buckets of the stack's names that exist, as a deleted stack leaves them")
	return cmd
}

// checkSettings reports a missing region or missing credentials, which the SDK
// reports at length.
func checkSettings(cmd *cobra.Command, cfg aws.Config) error {
	if cfg.Region == "" {
		return usagef("no AWS region: give --region, or set AWS_REGION or the profile's region")
	}
	if _, err := cfg.Credentials.Retrieve(cmd.Context()); err != nil {
		return fmt.Errorf(`%w: none could be got: configure a profile ("aws configure sso", "aws sso login", AWS_PROFILE) or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w`, runner.ErrCredentials, err)
	}
	return nil
}

// deployOptions are the flags of the commands that deploy.
type deployOptions struct {
	parameters     []string
	json           bool
	importExisting bool
}

func (o *deployOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.parameters, "parameter", nil, "a parameter of the template, as Name=Value; several times for several")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the outputs as one JSON object")
}

// deploy deploys to the target's stack and prints its outputs.
func (o *deployOptions) deploy(cmd *cobra.Command, t *target, cfg aws.Config, d deploy.Deployment) error {
	var err error
	if d.Parameters, err = parseParameters(o.parameters); err != nil {
		return err
	}
	d.Stack = t.stack
	d.Report = func(line string) { fmt.Fprintf(cmd.ErrOrStderr(), "=> %s\n", line) }
	var quoted []string
	for _, arg := range cmd.Flags().Args() {
		quoted = append(quoted, shellQuote(arg))
	}
	result, err := deploy.Run(cmd.Context(), cfg, d)
	switch {
	case errors.Is(err, deploy.ErrGoesOn):
		return fmt.Errorf("%w; to wait for it:\n  %s", err, t.commandLine(cmd, cmd.CommandPath(), quoted...))
	case err != nil:
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: stack %s is deployed\n", t.stack)
	return o.print(cmd, result.Outputs)
}

func (o *deployOptions) print(cmd *cobra.Command, outputs map[string]string) error {
	if o.json {
		return printJSON(cmd.OutOrStdout(), outputs)
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", name, outputs[name]); err != nil {
			return err
		}
	}
	return nil
}

// parseParameters reads --parameter Name=Value.
func parseParameters(flags []string) (map[string]string, error) {
	values := map[string]string{}
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		if !ok || name == "" {
			return nil, usagef("--parameter %q: write Name=Value", flag)
		}
		if _, twice := values[name]; twice {
			return nil, usagef("--parameter %s is given twice", name)
		}
		values[name] = value
	}
	return values, nil
}
