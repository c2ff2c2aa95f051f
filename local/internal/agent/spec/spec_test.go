package spec

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
version: 0.2
env:
  shell: bash
  git-credential-helper: no
  variables:
    NAME: "literal $HOME"
    NUMBER: 7
  exported-variables: [NAME, RESULT, NAME]
phases:
  post_build:
    on-failure: ABORT
    commands: &shared
      - true
      - |
        echo a
        echo b
    finally: *shared
  install:
  build:
    commands: [echo hello]
    on-failure: CONTINUE
`))
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{"true", "echo a\necho b\n"}
	want := &Spec{
		Shell:     "bash",
		Variables: []Variable{{"NAME", "literal $HOME"}, {"NUMBER", "7"}},
		Exported:  []string{"NAME", "RESULT"},
		Phases: []Phase{
			{Name: Install},
			{Name: Build, Commands: []string{"echo hello"}, OnFailure: Continue},
			{Name: PostBuild, Commands: shared, Finally: shared, OnFailure: Abort},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseJSON(t *testing.T) { // what the CDK writes
	got, err := Parse([]byte(`{"version": "0.2", "phases": {"build": {"commands": ["echo \"a: b\""]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Phase{{Name: Build, Commands: []string{`echo "a: b"`}}}; !cmp.Equal(want, got.Phases) || got.Shell != "/bin/sh" {
		t.Errorf("got %+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	const phases = "version: 0.2\nphases:\n  build:\n    "
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", "empty"},
		"a list":                {"- a", "must be a mapping"},
		"no version":            {"phases: {}", "no version"},
		"an old version":        {"version: 0.1\nphases: {}", "version 0.1 is not supported"},
		"no phases":             {"version: 0.2", "no phases"},
		"broken YAML":           {"version: 0.2\nphases: [a, b\nc: d", "did not find expected ',' or ']' at line "},
		"an unknown key":        {"version: 0.2\nfases: {}", `unknown key "fases" of the buildspec at line 2`},
		"an unknown phase":      {"version: 0.2\nphases: {test: {}}", `unknown key "test" of phases`},
		"a key twice":           {phases + "commands: []\n  build: {}", `"build" of phases appears twice at line 5`},
		"a command with colon":  {phases + "commands:\n      - echo a: b", "Expected Commands[0] to be of string type: found subkeys instead at line 5, value of the key tag on line 4 might be empty"},
		"a single command":      {phases + "commands: echo", "commands must be a list"},
		"many retries":          {phases + "on-failure: RETRY-101", "on-failure RETRY-101: the count may be 0 to 100 at line 4"},
		"a retry of nothing":    {phases + "on-failure: RETRY-", `not "RETRY-"`},
		"a retry's pattern":     {phases + "on-failure: RETRY-2-(", "on-failure RETRY-2-(: error parsing regexp"},
		"another on-failure":    {phases + "on-failure: abort", `not "abort"`},
		"a merge":               {phases + "<<: {commands: []}", `unknown key "<<"`},
		"runtime versions":      {phases + "runtime-versions: {go: latest}", "runtime-versions belongs to install, not to build, at line 4"},
		"a runtime's versions":  {"version: 0.2\nphases: {install: {runtime-versions: {go: [1, 2]}}}", "runtime-versions/go must be plain text"},
		"users":                 {"version: 0.2\nrun-as: [me]", "run-as must be plain text at line 2"},
		"artifacts":             {"version: 0.2\nartifacts: {files: []}", "artifacts has no files at line 2"},
		"secondary artifacts":   {"version: 0.2\nartifacts: {files: [a], secondary-artifacts: {b: {name: c}}}", "secondary-artifacts/b has no files at line 2"},
		"artifacts' depth":      {"version: 0.2\nartifacts: {files: [a], secondary-artifacts: {b: {files: a, secondary-artifacts: {}}}}", `unknown key "secondary-artifacts" of secondary-artifacts/b`},
		"a choice":              {"version: 0.2\nartifacts: {files: [a], discard-paths: maybe}", `discard-paths must be yes or no, not "maybe", at line 2`},
		"secrets":               {"version: 0.2\nenv: {secrets-manager: {1A: b}}", "\"1A\" of secrets-manager is not a variable's name"},
		"a credential helper":   {"version: 0.2\nenv: {git-credential-helper: yes}", "git-credential-helper yes is not supported"},
		"another shell":         {"version: 0.2\nenv: {shell: powershell.exe}", `shell "powershell.exe" is not supported`},
		"an exported non-name":  {"version: 0.2\nenv: {exported-variables: ['a;b']}", `"a;b" of exported-variables is not a variable's name`},
		"a variable's non-name": {"version: 0.2\nenv: {variables: {a-b: c}}", `"a-b" of variables is not a variable's name`},
		"a mapping as a value":  {"version: 0.2\nenv: {variables: {A: {b: c}}}", "variable A must be plain text"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v; want one with %q", err, c.want)
			}
		})
	}
}

func TestArtifacts(t *testing.T) {
	s, err := Parse([]byte(`version: 0.2
phases: {}
artifacts:
  files: ['**/*', b]
  name: out-$(date)
  base-directory: dist
  discard-paths: yes
  exclude-paths: '**/.*'
  enable-symlinks: true
  s3-prefix: p
  secondary-artifacts:
    docs: {files: [a], discard-paths: no}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Artifacts{Files: []string{"**/*", "b"}, Exclude: []string{"**/.*"}, Base: "dist", DiscardPaths: true, Name: "out-$(date)", Prefix: "p", KeepsSymlinks: true}
	if diff := cmp.Diff(want, s.Artifacts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]*Artifacts{"docs": {Files: []string{"a"}, Base: "."}}, s.SecondaryArtifacts); diff != "" {
		t.Error(diff)
	}
}

func TestRetries(t *testing.T) {
	for choice, want := range map[string]struct {
		count         int32
		matches, does string
	}{
		"RETRY":                {3, "any\nmessage", "yes"},
		"RETRY-0":              {0, "any", "yes"},
		"RETRY-100":            {100, "any", "yes"},
		"RETRY-.*timed out.*":  {3, "it timed out again", "yes"},
		"RETRY-timed out":      {3, "it timed out", "no"},
		"RETRY-8-exit|invalid": {8, "invalid", "yes"},
		"RETRY-8-4-.*":         {8, "4-", "yes"},
		"RETRY-8x":             {3, "8x", "yes"},
	} {
		s, err := Parse([]byte("version: 0.2\nphases: {build: {on-failure: '" + choice + "'}}"))
		if err != nil {
			t.Errorf("%s: %v", choice, err)
			continue
		}
		r := s.Phases[0].Retry
		if does := r.Errors.MatchString(want.matches); s.Phases[0].OnFailure != Again || r.Count != want.count || does != (want.does == "yes") {
			t.Errorf("%s: %+v", choice, r)
		}
	}
}

func TestParseTheProjectsOwn(t *testing.T) {
	text, err := os.ReadFile("../../../../buildspec/buildspec.yml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(text); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("version: 0.2\nphases:\n  build:\n    commands:\n      - &a echo\n      - *a\n")
	f.Add("a: &a\n  b: *a\n")
	f.Add("{\"version\": \"0.2\", \"phases\": {\"build\": {\"commands\": [1, null, true]}}}")
	f.Add("version: 0.2\nenv: {variables: {A: \"\\0\"}}\nphases: {build: {finally: [a], on-failure: CONTINUE}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse([]byte(text))
		if err != nil {
			return
		}
		for _, v := range s.Variables {
			if !variableName().MatchString(v.Name) || strings.ContainsRune(v.Value, 0) {
				t.Errorf("variable %q = %q", v.Name, v.Value)
			}
		}
		for _, p := range s.Phases {
			for _, c := range append(p.Commands, p.Finally...) {
				if strings.ContainsRune(c, 0) {
					t.Errorf("a command with NUL: %q", c)
				}
			}
		}
	})
}
