// Package versions has the versions of tools and images that the project uses.
// They are in one file, versions.txt, which scripts read too.
package versions

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed versions.txt
var text string

// Version is a line of the file.
type Version struct {
	From    string // "go", "npm" or "page": who knows newer versions
	Name    string
	Version string
	Below   string // "-", the first version that is not wanted, or "held"
	Why     string // the reason for Below, or the page
}

// All returns the lines of the file.
func All() []Version { return parse(text) }

// Of returns the version of a tool or an image. It panics if the file does not
// have the name.
func Of(name string) string {
	for _, v := range All() {
		if v.Name == name {
			return v.Version
		}
	}
	panic(fmt.Sprintf("internal/versions/versions.txt has no line for %q", name))
}

func parse(text string) (all []Version) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) < 4 {
			panic(fmt.Sprintf("internal/versions/versions.txt: %q has %d columns, want 4 or more", line, len(fields)))
		}
		all = append(all, Version{fields[0], fields[1], fields[2], fields[3], strings.Join(fields[4:], " ")})
	}
	return all
}
