package flexbuild_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// minimal are the programs used here that a minimal Debian has, and those that
// the README asks for.
const minimal = `
	awk basename bash cat chmod chown chroot cp cut date dirname dpkg du env find grep gzip head hostname id ldd ln ls mkdir mkfifo
	mktemp mount mv nsenter pivot_root readlink realpath rm sed seq setpriv setsid sh sha256sum sleep sort stat tail tar tee test
	timeout touch tr true umount uname uniq unshare useradd wc xargs
	apt-config apt-get
	gcc git go gofmt make node`

// made are programs that tools/install.sh compiles or installs beside them,
// that come with a package of another name, or that are looked for and done
// without.
const made = `flexbuild buildkitd buildx staticcheck crane conformance cdk docker cfn-lint python3 terraform pyenv`

// Nothing is called that a machine with nothing lacks: every program is on one
// of these lists or in a package that tools/install.sh installs. This reads the
// first words of the commands in shell scripts, testscripts, `sh -c`, and Go's
// exec.Command and LookPath. It does not see names that are put together while
// they run; `make test-fresh` does.
func TestNothingIsCalledThatIsNotInstalled(t *testing.T) {
	known := map[string]bool{}
	for _, name := range strings.Fields(minimal + " " + made + " " + builtins(t)) {
		known[name] = true
	}
	for _, match := range regexp.MustCompile(`(?m)^ +package (\S+) \S+ '`).FindAllStringSubmatch(read(t, "tools/install.sh"), -1) {
		known[match[1]] = true
	}
	calls := calls{t: t, where: map[string]string{}}
	for _, file := range tracked(t) {
		calls.inFile(file)
	}
	for _, name := range []string{"flexbuild", "dockerd", "busybox", "aws", "shellcheck", "tar"} {
		if calls.where[name] == "" {
			t.Errorf("no call of %s was found: this test does not read what it should", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(calls.where)) {
		if !known[name] {
			t.Errorf("%s calls %s, which nothing installs: add it to tools/install.sh, or to the lists of this test if every Debian has it", calls.where[name], name)
		}
	}
}

func TestACallOfAProgramIsSeen(t *testing.T) {
	for text, want := range map[string]string{
		"x=1 curl -s x | jq .":                      "curl jq",
		"f() { if ! /usr/bin/curl x; then y; fi; }": "curl y",
		"f() { x; }; f; \"$x\" y":                   "x",
		"sh -c 'echo $(jq .)' && exec xargs wget":   "echo exec jq sh wget xargs",
		"timeout 60 env -i A=b jq .":                "env jq timeout",
	} {
		calls := calls{t: t, where: map[string]string{}}
		calls.inShell("a test", text)
		if got := strings.Join(slices.Sorted(maps.Keys(calls.where)), " "); got != want {
			t.Errorf("%q calls %q, want %q", text, got, want)
		}
	}
}

func builtins(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("bash", "-c", "compgen -b").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// tracked returns the files of the project. A folder that is no clone is read
// too.
func tracked(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "node_modules", "cdk.out", "bin", "dist"}, entry.Name()) {
			return filepath.SkipDir
		}
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// calls are the programs that files call.
type calls struct {
	t     *testing.T
	where map[string]string // one place by program
}

func (c calls) inFile(file string) {
	switch {
	case strings.HasSuffix(file, ".sh"), file == ".ci/run":
		c.inShell(file, read(c.t, file))
	case strings.HasSuffix(file, ".txtar"):
		c.inTestscript(file, read(c.t, file))
	case strings.HasSuffix(file, ".go"):
		c.inGo(file)
	}
}

// call notes that a program is called, which is not a file of the project.
func (c calls) call(where, program string) {
	if path.IsAbs(program) {
		program = path.Base(program)
	}
	if program != "" && !strings.Contains(program, "/") && c.where[program] == "" {
		c.where[program] = where
	}
}

// runners call the program that is their first argument but for their own:
// options, variables and times.
var (
	runners  = []string{"exec", "command", "xargs", "env", "nice", "timeout"}
	ofRunner = regexp.MustCompile(`^-|=|^[0-9]+$`)
)

func (c calls) inShell(where, text string) {
	file, err := syntax.NewParser().Parse(strings.NewReader(text), where)
	if err != nil {
		c.t.Errorf("%s: %v", where, err)
		return
	}
	functions := map[string]bool{}
	syntax.Walk(file, func(node syntax.Node) bool {
		if f, ok := node.(*syntax.FuncDecl); ok {
			functions[f.Name.Value] = true
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok {
			c.words(where, words(call.Args), functions)
		}
		return true
	})
}

// words are a command's, "" for those that are not literal.
func (c calls) words(where string, words []string, functions map[string]bool) {
	if len(words) == 0 {
		return
	}
	if !functions[words[0]] {
		c.call(where, words[0])
	}
	rest := words[1:]
	switch {
	case slices.Contains(runners, words[0]):
		i := slices.IndexFunc(rest, func(word string) bool { return !ofRunner.MatchString(word) })
		if i >= 0 {
			c.words(where, rest[i:], functions)
		}
	case words[0] == "sh", words[0] == "bash":
		if i := slices.Index(rest, "-c"); i >= 0 && i+1 < len(rest) {
			c.inShell(where, rest[i+1])
		}
	}
}

func words(args []*syntax.Word) (words []string) {
	for _, arg := range args {
		text := arg.Lit()
		if len(arg.Parts) == 1 {
			if quoted, ok := arg.Parts[0].(*syntax.SglQuoted); ok {
				text = quoted.Value
			}
		}
		words = append(words, text)
	}
	return words
}

var (
	archived = regexp.MustCompile(`(?m)^-- (\S+) --\n`)
	executed = regexp.MustCompile(`(?m)^(?:\[.*?\] )?(?:! )?(?:exec|await '[^']*'|await [^' ]+) (.*)$`)
)

// inTestscript reads the commands of a script, and the shell scripts in it.
func (c calls) inTestscript(file, text string) {
	starts := archived.FindAllStringSubmatchIndex(text, -1)
	end := len(text)
	for _, start := range slices.Backward(starts) {
		if name := text[start[2]:start[3]]; strings.HasSuffix(name, ".sh") {
			c.inShell(file+": "+name, text[start[1]:end])
		}
		end = start[0]
	}
	for _, line := range executed.FindAllStringSubmatch(text[:end], -1) {
		command := regexp.MustCompile(` &(\w+&)?$`).ReplaceAllString(line[1], "")
		c.inShell(file, strings.ReplaceAll(command, "`", "")) // in which a testscript's words differ from the shell's
	}
}

// shells are functions of tests whose arguments are shell commands.
var shells = []string{"commands"}

func (c calls) inGo(file string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return // the compiler says it
	}
	constants := map[string]ast.Expr{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
			for i, name := range spec.Names {
				constants[name.Name] = spec.Values[i]
			}
		}
		return true
	})
	ast.Inspect(parsed, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		arguments := literals(call.Args, constants)
		switch called(call) {
		case "exec.CommandContext":
			c.words(file, arguments[1:], nil)
		case "exec.Command", "exec.LookPath":
			c.words(file, arguments, nil)
		default:
			if slices.Contains(shells, called(call)) && len(arguments) > 2 {
				c.inShell(file, strings.Join(arguments[2:], "\n"))
			}
		}
		return true
	})
}

// called returns the function of a call, with its package.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if pkg, ok := f.X.(*ast.Ident); ok {
			return pkg.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// literals returns the values of expressions, as far as the file has them.
func literals(expressions []ast.Expr, constants map[string]ast.Expr) (values []string) {
	for _, expression := range expressions {
		values = append(values, literal(expression, constants))
	}
	return values
}

func literal(expression ast.Expr, constants map[string]ast.Expr) string {
	switch e := expression.(type) {
	case *ast.BasicLit:
		value, _ := strconv.Unquote(e.Value)
		return value
	case *ast.BinaryExpr:
		return literal(e.X, constants) + literal(e.Y, constants)
	case *ast.Ident:
		if value, ok := constants[e.Name].(*ast.BasicLit); ok {
			return literal(value, nil)
		}
	}
	return ""
}
