package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const manDir = projectDir + "/docs/man"

// The manual pages of docs/man, which releases contain, are those of the
// commands. They have neither a date nor a version: a release adds its own.
func TestManPages(t *testing.T) {
	for _, name := range []string{"FLEXBUILD_STACK", "FLEXBUILD_TEAM"} {
		t.Setenv(name, "")
	}
	want := manPages(t)
	if *update {
		if err := os.RemoveAll(manDir); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			writeFile(t, filepath.Join(manDir, name), text)
		}
	}
	files, err := os.ReadDir(manDir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		got = append(got, file.Name())
		if readFile(t, "docs/man/"+file.Name()) != want[file.Name()] {
			t.Errorf("docs/man/%s is not that of the command: go test ./cmd/flexbuild -run TestManPages -update", file.Name())
		}
	}
	if names := slices.Sorted(maps.Keys(want)); !slices.Equal(got, names) {
		t.Errorf("docs/man has %q, want %q", got, names)
	}
}

// manPages returns the manual page of each command by its file's name.
func manPages(t *testing.T) map[string]string {
	t.Helper()
	root := newRoot(nil)
	root.PersistentFlags().Lookup("state-dir").DefValue = "~/.local/state/flexbuild"
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		t.Fatal(err)
	}
	completion.Hidden = true // its help is all that there is
	pages := map[string]string{}
	for _, cmd := range allCommands(root) {
		asMarkdown(cmd)
		var text bytes.Buffer
		header := &doc.GenManHeader{Section: "1", Date: &time.Time{}, Source: "flexbuild", Manual: "User Commands"}
		if err := doc.GenMan(cmd, header, &text); err != nil {
			t.Fatal(err)
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		pages[name] = strings.Replace(text.String(), `"Jan 0001"`, `""`, 1)
	}
	return pages
}

// asMarkdown gives the help of a command the form that doc.GenMan expects.
// Markdown wants an empty line and four spaces before lines that stay as they
// are, and takes <TAB> for HTML.
func asMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long = strings.ReplaceAll(cmd.Long, "<", `\<`)
	cmd.Long = regexp.MustCompile(`(?m)^  `).ReplaceAllLiteralString(cmd.Long, "    ")
	cmd.Long = regexp.MustCompile(`(\n[^ \n].*)\n    `).ReplaceAllString(cmd.Long, "$1\n\n    ")
}
