package flexbuild_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go code of the pages is that of examples and tests, but for the lines
// that every program has: loading the settings and returning errors.
func TestPagesShowGoThatRuns(t *testing.T) {
	var examples strings.Builder
	for _, file := range tracked(t) {
		if strings.HasSuffix(file, "example_test.go") {
			examples.WriteString(squeeze(withoutRemarks(read(t, file))) + "\n")
		}
	}
	common := regexp.MustCompile(`cfg, err := config\.LoadDefaultConfig\(ctx\)|if err != nil \{\n\treturn err\n\}`)
	found := 0
	for _, page := range pages(t) {
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, page), -1) {
			found++
			for _, line := range strings.Split(common.ReplaceAllString(withoutRemarks(block[1]), ""), "\n") {
				if line := squeeze(line); line != "…" && !strings.Contains(examples.String(), line) {
					t.Errorf("%s: no example has the line %q", page, line)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d blocks were found: this test does not read what it should", found)
	}
}

func withoutRemarks(code string) string {
	return regexp.MustCompile(` +// .*`).ReplaceAllString(code, "")
}

// The README shows the commands that make demo runs.
func TestReadmeShowsTheDemo(t *testing.T) {
	demo := read(t, "examples/demo.sh")
	commands := regexp.MustCompile(`(?m)^\$ (flexbuild [^#\n]*local.*)$`).FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(commands) != 2 {
		t.Fatalf("the README shows %d commands of the demo, want 2", len(commands))
	}
	for _, command := range commands {
		if !strings.Contains(demo, "step '"+command[1]+"'\n") {
			t.Errorf("examples/demo.sh does not run %q", command[1])
		}
	}
}

// The contract's page has a row for every variable and output.
func TestContractPageIsComplete(t *testing.T) {
	page := read(t, "docs/contract.md")
	source := read(t, "buildspec/params.go") + read(t, "buildspec/outcome.go") + read(t, "buildspec/outputs.go")
	for _, name := range regexp.MustCompile(`(?m)^\t(?:[vV]ar|Output)\w+ += "(\w+)"`).FindAllStringSubmatch(source, -1) {
		if !strings.Contains(page, "`"+name[1]+"`") {
			t.Errorf("docs/contract.md does not mention %s", name[1])
		}
	}
}

// A shell that commands are pasted into goes on after a command that failed,
// and the next command must not reach the account of whoever pasted it.
func TestNothingIsPastedPastAFailure(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, line := range regexp.MustCompile(`(?m)^\$ .*flexbuild local env.*$`).FindAllString(read(t, page), -1) {
			found++
			if !regexp.MustCompile(`^\$ eval "\$\(flexbuild local env \|\| echo false\)"( &&)?$`).MatchString(line) {
				t.Errorf(`%s: %q: write eval "$(flexbuild local env || echo false)" && and the next command`, page, line)
			}
		}
	}
	if found < 3 {
		t.Errorf("%d lines were found: this test reads the wrong pages", found)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
