package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"mvdan.cc/sh/v3/syntax"

	"github.com/codebuild-flex/flexbuild/internal/versions"
)

const projectDir = "../.."

// TestDocumentedCommandsExist holds every command on every page against what it
// calls: the subcommands and flags of flexbuild, the targets of the Makefile,
// the tests that go test is asked for, the pinned CDK CLI, and operations of
// the AWS CLI that some test runs. TestPages runs those that can run anywhere.
func TestDocumentedCommandsExist(t *testing.T) {
	seen := map[string]int{}
	for _, page := range pages(t) {
		for _, command := range commandsIn(t, page) {
			seen[command[0]]++
			if err := checkCommand(t, command); err != nil {
				t.Errorf("%s: %q: %v", page.name, strings.Join(command, " "), err)
			}
		}
		for _, text := range page.spans {
			if command := strings.Fields(text); command[0] == "flexbuild" {
				if err := checkFlexbuild(command[1:], false); err != nil {
					t.Errorf("%s: `%s`: %v", page.name, text, err)
				}
			}
		}
	}
	for _, program := range []string{"flexbuild", "make", "go", "npx", "aws"} {
		if seen[program] < 2 {
			t.Errorf("%d calls of %s were found: this test does not read what it should", seen[program], program)
		}
	}
}

// The page of the command has each subcommand, flag and exit code, and no
// other.
func TestCommandPageIsComplete(t *testing.T) {
	text := readFile(t, "docs/command.md")
	documented := map[string]bool{}
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(text, -1) {
		documented[flag[1]] = true
	}
	flags := map[string]bool{}
	for _, cmd := range allCommands(newRoot(nil)) {
		if !strings.Contains(text, "`"+cmd.CommandPath()) {
			t.Errorf("docs/command.md does not mention %q", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { flags["--"+flag.Name] = true })
		cmd.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flags["--"+flag.Name] = true })
	}
	for flag := range flags {
		if !documented[flag] {
			t.Errorf("docs/command.md does not mention %s", flag)
		}
	}
	for flag := range documented {
		if !flags[flag] {
			t.Errorf("docs/command.md mentions %s, which no command has", flag)
		}
	}
	codes := regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(text, -1)
	want := []int{0, exitFailed, exitUsage, exitTimedOut, exitStopped, exitFault, exitSomeFailed, exitInterrupted, exitReaderGone}
	if len(codes) != len(want) {
		t.Fatalf("docs/command.md has %d exit codes, the command has %d", len(codes), len(want))
	}
	for i, code := range codes {
		if code[1] != fmt.Sprint(want[i]) {
			t.Errorf("docs/command.md has the exit code %s, want %d", code[1], want[i])
		}
	}
}

func allCommands(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		cmd.InitDefaultHelpFlag()
		if cmd.Name() != "help" && cmd.Name() != "completion" {
			all = append(all, allCommands(cmd)...)
		}
	}
	return all
}

// page is a page of the project: its blocks of commands, and its code spans.
type page struct {
	name   string
	blocks []block
	spans  []string
}

// block is a block of commands, without what they print.
type block struct {
	first  string // its first command, which is its name
	script string
}

func pages(t *testing.T) (all []page) {
	t.Helper()
	err := filepath.WalkDir(projectDir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "node_modules", "cdk.out", "bin", "dist"}, entry.Name()) {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(file) == ".md" {
			name, _ := filepath.Rel(projectDir, file)
			all = append(all, parsePage(name, readFile(t, name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	codeBlock = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$")
	codeSpan  = regexp.MustCompile("`([^`\n]+)`")
)

func parsePage(name, text string) page {
	p := page{name: name}
	for _, found := range codeBlock.FindAllStringSubmatch(text, -1) {
		lines := strings.Split(strings.ReplaceAll("\n"+found[3], "\n"+found[1], "\n")[1:], "\n")
		switch found[2] {
		case "console":
			lines = typed(lines)
		case "sh":
		default:
			continue
		}
		p.blocks = append(p.blocks, block{lines[0], strings.Join(lines, "\n")})
	}
	for _, span := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllLiteralString(text, ""), -1) {
		if strings.TrimSpace(span[1]) != "" {
			p.spans = append(p.spans, strings.ReplaceAll(span[1], `\|`, "|"))
		}
	}
	return p
}

// typed returns the lines that a person types: those after a prompt, and the
// lines that such a line goes on in.
func typed(lines []string) (commands []string) {
	goesOn := false
	for _, line := range lines {
		command, prompt := strings.CutPrefix(line, "$ ")
		if prompt || goesOn {
			commands = append(commands, command)
			goesOn = strings.HasSuffix(command, `\`) || strings.HasSuffix(command, "&&")
		}
	}
	return commands
}

// everywhere lists the programs that pages may call without a check.
const everywhere = ": [ break cat cd cut date echo eval gzip jq set sha256sum sleep tar zip"

// commandsIn returns the words of each command that a page's blocks call.
func commandsIn(t *testing.T, p page) (commands [][]string) {
	t.Helper()
	var script strings.Builder
	for _, block := range p.blocks {
		script.WriteString(block.script + "\n")
	}
	file, err := syntax.NewParser().Parse(strings.NewReader(script.String()), p.name)
	if err != nil {
		t.Errorf("%v", err)
		return nil
	}
	functions := strings.Fields(everywhere)
	syntax.Walk(file, func(node syntax.Node) bool {
		if f, ok := node.(*syntax.FuncDecl); ok {
			functions = append(functions, f.Name.Value)
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		var words []string
		for _, arg := range call.Args {
			words = append(words, wordText(arg))
		}
		if words[0] == "sudo" { // sudo -H env NAME=VALUE COMMAND
			words = words[slices.Index(words, "env")+2:]
		}
		if !slices.Contains(functions, words[0]) {
			commands = append(commands, words)
		}
		return true
	})
	return commands
}

// wordText returns a word as it stands in the script, without quotes around it.
func wordText(word *syntax.Word) string {
	var text strings.Builder
	_ = syntax.NewPrinter().Print(&text, word)
	return strings.Trim(text.String(), `'"`)
}

func checkCommand(t *testing.T, command []string) error {
	args := command[1:]
	switch command[0] {
	case "flexbuild":
		return checkFlexbuild(args, true)
	case "make":
		return checkMake(t, args)
	case "go":
		return checkGo(t, args)
	case "npx":
		return checkCDK(t, args)
	case "aws":
		return checkAWS(t, args)
	}
	return fmt.Errorf("no check knows the program %s: add one", command[0])
}

// checkFlexbuild looks for the subcommand and its flags, and for its arguments
// unless the command is only mentioned.
func checkFlexbuild(args []string, whole bool) error {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "…" })
	if i := slices.IndexFunc(args, func(arg string) bool { return arg == "|" || strings.HasPrefix(arg, "<") }); i >= 0 {
		args = args[:i]
	}
	cmd, rest, err := newRoot(nil).Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) && (whole || !strings.Contains(err.Error(), "needs an argument")) {
		return err
	}
	if whole {
		return cmd.ValidateArgs(cmd.Flags().Args())
	}
	if left := cmd.Flags().Args(); len(left) > 0 && cmd.HasSubCommands() {
		return fmt.Errorf("%s has no command %q", cmd.CommandPath(), left[0])
	}
	return nil
}

func checkMake(t *testing.T, args []string) error {
	makefile := readFile(t, "Makefile")
	for _, arg := range args {
		if name, _, ok := strings.Cut(arg, "="); ok && strings.Contains(makefile, "$("+name+")") || strings.Contains(makefile, "$(or $("+name+")") {
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(arg) + `:`).MatchString(makefile) {
			return fmt.Errorf("the Makefile has no target %s", arg)
		}
	}
	return nil
}

// checkGo looks for the package that is installed, tested or asked about, and
// for the tests that -run names.
func checkGo(t *testing.T, args []string) error {
	folder := ""
	for _, arg := range args[1:] {
		path := strings.TrimPrefix(strings.TrimSuffix(arg, "@latest"), "github.com/codebuild-flex/flexbuild/")
		if path = strings.TrimSuffix(strings.TrimSuffix(path, "..."), "/"); strings.HasPrefix(arg, ".") || path != arg {
			folder = path
		}
	}
	if info, err := os.Stat(filepath.Join(projectDir, folder)); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no package %q", folder)
	}
	for _, flag := range []string{"-run", "-bench", "-fuzz"} {
		i := slices.Index(args, flag)
		if i < 0 || i+1 == len(args) || !regexp.MustCompile(`^\w+$`).MatchString(args[i+1]) {
			continue
		}
		tests, err := filepath.Glob(filepath.Join(projectDir, folder, "*_test.go"))
		if err != nil {
			return err
		}
		found := slices.ContainsFunc(tests, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && regexp.MustCompile(`func \w*`+args[i+1]).Match(text)
		})
		if !found {
			return fmt.Errorf("%s has no test or benchmark %s", folder, args[i+1])
		}
	}
	return nil
}

// checkCDK checks that the version is the one that the tests use, and that the
// app has the settings.
func checkCDK(t *testing.T, args []string) error {
	version := versions.Of("aws-cdk")
	if args[0] != "aws-cdk@"+version {
		return fmt.Errorf("the pinned version is aws-cdk@%s", version)
	}
	context := readFile(t, "infra/context.go")
	for i, arg := range args {
		if key, _, _ := strings.Cut(arg, "="); i > 0 && args[i-1] == "-c" && !strings.Contains(context, `"`+key+`"`) {
			return fmt.Errorf("the default stack has no setting -c %s", key)
		}
	}
	return nil
}

// checkAWS checks that some script or page that a test runs calls the same
// operation.
func checkAWS(t *testing.T, args []string) error {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		return err
	}
	operation := "aws " + args[0] + " " + args[1]
	for _, script := range append(scripts, "../../docs/contract.md") {
		text, err := os.ReadFile(script)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), operation+" ") {
			return nil
		}
	}
	return fmt.Errorf("no test runs %s", operation)
}

// notRun are the blocks that TestPages leaves out, by their first command.
var notRun = map[string]string{
	"make demo": "examples/demo.sh has the same commands, and CI runs it",
	"make demo     # the main job, end to end":                                              "CI runs these targets",
	"make bench-fleet           # prints the tables, and fails where a promise is not kept": "it takes 14 minutes; make test does the same with a few builds",
	"make release":                       "it compiles for six platforms; the tests of tools/release make a release for one",
	`sudo -H env "PATH=$PATH" make demo`: "it needs a user who may use sudo; make test-fresh runs the demo as another user",
	"FLEXBUILD_TEST_STACK=flexbuild go test ./cmd/flexbuild -run TestDeployedStack -count=1 -timeout 1h -v": "it needs an AWS account; TestDeployedStack asks the local engine the same",
}

// inScripts are the blocks that a script of testdata/script reads from their
// page and runs, so that the CDK synthesizes and deploys their stacks once
// only.
var inScripts = map[string]string{
	"npx aws-cdk@2.1148.1 deploy -c repositories=app,web -c prefix=team/": "cdk.txtar",
	"flexbuild local --no-deploy &":                                       "cdk-app.txtar",
}

// TestPages runs the commands of each page as they stand there, in a new clone
// and a new home directory, with the local engine in the place of AWS. Replaced
// are URLs of repositories, which lead to a server of the test, and programs
// that would download something: the CDK CLI of the tests takes the place of
// npx, and the command itself, which the tests have compiled, that of go
// install.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("the CDK takes minutes")
	}
	t.Parallel()
	server, _ := serveRepositories(t)
	replace := strings.NewReplacer(
		"https://github.com/org/repo.git", server+"/test-ecr2/.git",
		"https://github.com/org/repo", server+"/test-ecr2",
		"https://github.com/org/api.git#v1.2", server+"/test-ecr2/.git",
		"api:1.2", "app:api", "api:latest", "app:latest", "web:1.2", "app:web", // the default stack has one repository
		"0a4f…", "0a4f",
	)
	environment := pageEnvironment(t)
	unused := map[string]bool{}
	for first := range notRun {
		unused[first] = true
	}
	ran := map[string]bool{} // blocks, some of which are on several pages
	for first := range inScripts {
		unused[first] = true
	}
	for _, page := range pages(t) {
		if page.name == "docs/contract.md" { // TestContractPage runs that
			continue
		}
		var script []string
		for _, block := range page.blocks {
			delete(unused, block.first)
			if name := inScripts[block.first]; name != "" {
				if !strings.Contains(readFile(t, "cmd/flexbuild/testdata/script/"+name), page.name) {
					t.Errorf("%s does not run what %s says", name, page.name)
				}
			} else if notRun[block.first] == "" && !ran[block.script] {
				ran[block.script] = true
				script = append(script, replace.Replace(block.script))
			}
		}
		if len(script) == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(page.name, ".md"), func(t *testing.T) {
			t.Parallel()
			runPage(t, page, strings.Join(script, "\n"), replace, environment)
		})
	}
	for first := range unused {
		t.Errorf("%q is listed here, and no page has it any more", first)
	}
}

func pageEnvironment(t *testing.T) []string {
	t.Helper()
	path := []string{installAWSCLI(t), filepath.Dir(cdkCLI(t)), os.Getenv("PATH")}
	return append(cacheEnv(t),
		"PATH="+strings.Join(path, string(os.PathListSeparator)),
		"FLEXBUILD_TOOLS="+tools(),
		"CDK_REQUIRE_APPROVAL=never", // nobody is there to be asked
		"AWS_EC2_METADATA_DISABLED=true")
}

// inPages replaces the commands of pages that would download something.
const inPages = `
set -euo pipefail
make() { [[ $* == build ]]; }
go() { if [[ $1 == install ]]; then flexbuild version; else command go "$@"; fi; }
npx() { shift; cdk "$@"; }
export -f npx
finish() { kill $(jobs -p) 2>/dev/null || true; wait; }
trap finish EXIT
`

// runPage runs a page's commands in a clone. A page that does not start the
// engine itself finds one that has the default stack, unless it deploys that.
func runPage(t *testing.T, page page, script string, replace *strings.Replacer, environment []string) {
	dir := t.TempDir()
	git(t, "clone", "--quiet", projectDir, dir+"/clone")
	for _, app := range []string{"path/to/app", "web"} {
		writeFile(t, filepath.Join(dir, "clone", app, "Dockerfile"), "FROM scratch\nCOPY . /\n")
	}
	for _, list := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, page.name), 1) {
		writeFile(t, filepath.Join(dir, "clone/builds.yaml"), replace.Replace(list[1]))
	}
	if !strings.Contains(script, "flexbuild local") {
		start := "flexbuild local &\n"
		if strings.Contains(script, "deploy") {
			start = "flexbuild local --no-deploy &\n"
		}
		script = start + "settings=$(flexbuild local env)\neval \"$settings\"\n" + script
	} else if !strings.Contains(script, "flexbuild local ") || strings.HasPrefix(script, "eval") {
		script = "flexbuild local &\n" + script
	}
	cmd := exec.Command("bash", "-c", inPages+script)
	cmd.Dir = filepath.Join(dir, "clone")
	cmd.Env = append(os.Environ(), append(environment, "HOME="+dir, "FLEXBUILD_STATE_DIR="+dir+"/state")...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, script, output)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
