package flexbuild_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/codebuild-flex/flexbuild"

// heavy are the modules of the CDK. They take a gigabyte to compile, and start
// a node process in every program that has them.
var heavy = []string{
	"github.com/aws/aws-cdk-go/", "github.com/aws/constructs-go/", "github.com/aws/jsii-runtime-go",
}

func TestOnlyInfraDependsOnTheCDK(t *testing.T) {
	heavyPackages := map[string]bool{}
	for pkg, deps := range dependencies(t) {
		if i := slices.IndexFunc(deps, isHeavy); i >= 0 {
			heavyPackages[pkg] = true
			if pkg != module+"/infra" && !strings.HasPrefix(pkg, module+"/infra/") {
				t.Errorf("%s depends on %s: only infra may", pkg, deps[i])
			}
		}
	}
	if !heavyPackages[module+"/infra"] {
		t.Error("infra does not depend on the CDK: this test looks for the wrong modules")
	}
}

// What each folder may import of the module, as the table of
// docs/architecture.md has it.
var mayImport = map[string][]string{
	"buildspec": {},
	"infra":     {"buildspec"},
	"runner":    {"buildspec"},
	"internal":  {},
	"local":     {"buildspec", "internal"},
	"cmd":       {"", "buildspec", "internal", "runner", "local"},
}

// leaf is a package that every folder may import, like one of Go's library. It
// imports nothing of the module.
const leaf = module + "/internal/lazyregexp"

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for pkg, deps := range dependencies(t) {
		allowed, ok := mayImport[folder(pkg)]
		if !ok {
			continue
		}
		seen[folder(pkg)] = true
		for _, dep := range deps {
			if strings.HasPrefix(dep, module) && dep != leaf && folder(dep) != folder(pkg) && !slices.Contains(allowed, folder(dep)) {
				t.Errorf("%s depends on %s: %s may depend on %q", pkg, dep, folder(pkg), allowed)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("no package of %s was looked at", name)
		}
	}
}

// CloudFormation's stacks are made of resource types and of the language of
// templates, which know nothing of what is made of them.
func TestCloudFormationHasNoImportUpwards(t *testing.T) {
	const stacks = module + "/local/internal/cloudformation"
	all := dependencies(t)
	for pkg, forbidden := range map[string][]string{
		stacks + "/template":  {stacks, stacks + "/resources"},
		stacks + "/resources": {stacks},
	} {
		deps, ok := all[pkg]
		if !ok {
			t.Errorf("there is no package %s", pkg)
		}
		for _, dep := range forbidden {
			if slices.Contains(deps, dep) {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
}

// folder returns a package's top-level folder in the module, "" for the root.
func folder(pkg string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/"), "/")
	return top
}

func TestBuildspecDependsOnNothingOfAWS(t *testing.T) {
	for _, dep := range dependencies(t)[module+"/buildspec"] {
		if strings.HasPrefix(dep, "github.com/aws/") {
			t.Errorf("buildspec depends on %s", dep)
		}
	}
}

func isHeavy(pkg string) bool {
	return slices.ContainsFunc(heavy, func(prefix string) bool { return strings.HasPrefix(pkg, prefix) })
}

// dependencies returns all packages that each package of the module needs,
// directly or not.
func dependencies(t *testing.T) map[string][]string {
	t.Helper()
	// -e, for a package that does not compile is another test's failure.
	out, err := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		all[fields[0]] = fields[1:]
	}
	return all
}
