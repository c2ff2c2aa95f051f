package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
)

func newTemplate() *cobra.Command {
	return &cobra.Command{
		Use:   "template",
		Short: "Print the CloudFormation template of the stack",
		Long: `Print the CloudFormation template of the stack, for any tool that deploys one. It
needs no other file. They need the capability CAPABILITY_NAMED_IAM.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), flexbuild.Template)
			return err
		},
	}
}
