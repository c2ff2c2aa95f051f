package flexbuild_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/internal/versions"
)

// spelled are the forms in which files name a version that they cannot read
// from internal/versions/versions.txt: the version is the last group, and its
// name the first of two, or given.
var spelled = []struct{ name, form string }{
	{"aws-cdk", `aws-cdk@(\d[\w.]*)`},
	{"aws-cdk", `\| CDK CLI \| (\d[\w.]*\d)`},
	{"@aws-sdk/client-codebuild", `"@aws-sdk/client-[a-z0-9]+": "([^"]+)"`},
	{"@aws-sdk/client-codebuild", `\| AWS SDK for JavaScript \| (\S+)`},
	{"typescript", `"typescript": "([^"]+)"`},
	{"@types/node", `"@types/node": "([^"]+)"`},
	{"node", `the CDK runs on Node (\d+) or newer`},
	{"", `(aws/codebuild/amazonlinux-(?:x86_64|aarch64)-standard):([\d.]+)`},
	{"aws/codebuild/amazonlinux-x86_64-standard", `\(Amazon Linux x86_64 ([\d.]+)`},
	{"aws/codebuild/amazonlinux-aarch64-standard", `\(Amazon Linux .*aarch64 ([\d.]+)\)`},
	{"github.com/docker/docker", `\| Docker ([\d.]+), buildx`},
	{"github.com/docker/buildx", `\| Docker [\d.]+, buildx ([\d.]+)`},
	{"github.com/moby/buildkit", `\(BuildKit ([\d.]+)\)`},
	{"", `(moby/buildkit):([\w.-]+)`},
	{"", `uses: (\S+)@(\S+)`},
}

// Files that cannot read the versions name the same. Tests may use other
// images, and a Debian's codename is said by its number.
func TestVersionsAreThoseOfTheFile(t *testing.T) {
	var texts strings.Builder
	for _, file := range tracked(t) {
		if !strings.HasSuffix(file, "_test.go") && regexp.MustCompile(`\.(go|sh|md|json|yml)$`).MatchString(file) {
			texts.WriteString(read(t, file) + "\n")
		}
	}
	text := texts.String()
	for _, s := range spelled {
		found := regexp.MustCompile(s.form).FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("no file has the form %s: this test does not read what it should", s.form)
		}
		for _, match := range found {
			name := s.name
			if name == "" {
				name = match[1]
			}
			if got, want := match[len(match)-1], number(versions.Of(name)); got != want && got != versions.Of(name) {
				t.Errorf("%q names the version %s of %s, and internal/versions/versions.txt has %s", match[0], got, name, want)
			}
		}
	}
}

// number returns a version of a Go module as its program prints it.
func number(version string) string {
	return strings.TrimSuffix(strings.TrimPrefix(version, "v"), "+incompatible")
}

// The script names each tool that it installs by a line of the file.
func TestInstallerReadsTheVersions(t *testing.T) {
	script := read(t, "tools/install.sh") + read(t, "tools/test-fresh.sh")
	for _, v := range versions.All() {
		if v.From == "page" && !slices.Contains([]string{"node", "debian"}, v.Name) {
			continue
		}
		if !strings.Contains(script, "version_of "+v.Name+")") {
			t.Errorf("no script reads the version of %s", v.Name)
		}
	}
}
