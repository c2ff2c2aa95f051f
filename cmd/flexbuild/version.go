package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

func newVersion() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the command and of the contract",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": version(), "contract": buildspec.Version})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func versionText() string {
	return fmt.Sprintf("flexbuild %s, contract %s", version(), buildspec.Version)
}

// version returns the version of the module from which the command was
// compiled.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
