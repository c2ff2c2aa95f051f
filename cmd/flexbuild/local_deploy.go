package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/internal/deploy"
)

func newLocalDeploy(t *target) *cobra.Command {
	var options deployOptions
	cmd := &cobra.Command{
		Use:   "deploy [TEMPLATE]",
		Short: "Create or update the stack in the local engine",
		Long: `Create or update the stack (--stack) in the local engine from a CloudFormation
template, and wait until that is done. Without TEMPLATE, it is the default stack.

It is "flexbuild up" for the engine, with the same parameters and output. Besides,
a stack whose creation failed is deleted first, and what an earlier stack left is
taken over.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes at most one argument, got %q", cmd.CommandPath(), args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			template := flexbuild.Template
			if len(args) == 1 {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return usagef("read the template: %w", err)
				}
				template = string(text)
			}
			cfg, err := t.localConfig()
			if err != nil {
				return err
			}
			return options.deploy(cmd, t, cfg, deploy.Deployment{Template: template, ImportExisting: true, Recreate: true})
		},
	}
	options.addFlags(cmd)
	return cmd
}
