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
				return printJSON(cmd.OutOrStdout(), versionJSON{version(), commit(), buildspec.Version})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// versionJSON is the JSON of the command. There is no commit if the command was
// compiled from a module's zip file, as `go install` does: its version names
// one.
type versionJSON struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Contract string `json:"contract"`
}

func versionText() string {
	from := version()
	if id := commit(); id != "" {
		from += ", commit " + id[:min(12, len(id))]
	}
	return fmt.Sprintf("flexbuild %s, contract %s", from, buildspec.Version)
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

// commit returns the id of the commit from which the command was compiled, or
// "" if the go command did not read it from a clone.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}
