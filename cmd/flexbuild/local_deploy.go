package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local"
)

func newLocalDeploy(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "deploy [TEMPLATE]",
		Short: "Create or update the stack in the local engine",
		Long: `Create or update the stack (--stack) in the local engine from a CloudFormation
template, and wait until that is done. Without TEMPLATE, it is the default stack.`,
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
			endpoint, err := local.ReadEndpoint(t.stateDir)
			if err != nil {
				return err
			}
			if err := local.Deploy(cmd.Context(), endpoint.Config(), t.stack, template); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: stack %s is deployed\n", t.stack)
			return nil
		},
	}
}
