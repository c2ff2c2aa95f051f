package buildspec

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func environment(p Params) map[string]string {
	env := map[string]string{}
	for _, v := range p.Environment() {
		env[v.Name] = v.Value
	}
	return env
}

// asked returns the arguments that buildx must get for p in a build whose stack
// has registry.test and the cache repository "cache".
func asked(home string, p Params) []string {
	const registry = "registry.test:5000"
	args := []string{
		"--builder", testBuilder, "--progress", "plain",
		"--file", "./" + orDefault(p.Dockerfile, "Dockerfile"),
	}
	if p.Target != "" {
		args = append(args, "--target="+p.Target)
	}
	for _, platform := range p.Platforms {
		args = append(args, "--platform="+platform)
	}
	for _, name := range slices.Sorted(maps.Keys(p.BuildArgs)) {
		args = append(args, "--build-arg="+name+"="+p.BuildArgs[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
		args = append(args, "--label="+name+"="+p.Labels[name])
	}
	for _, id := range slices.Sorted(maps.Keys(p.Secrets)) {
		args = append(args, "--secret=id="+id+",env="+secretVariable(id))
	}
	args = append(args, "--metadata-file", home+"/.flexbuild/metadata.json",
		"--sbom="+strconv.FormatBool(p.SBOM))
	if p.Provenance == ProvenanceOff {
		args = append(args, "--provenance=false")
	} else {
		args = append(args, "--provenance=mode="+string(p.Provenance))
	}
	args = append(args, "--output=type=registry,compression-level=4")
	for _, tag := range p.Tags {
		args = append(args, "--tag", registry+"/"+tag)
	}
	if p.Pull {
		args = append(args, "--pull")
	}
	if p.NoCache {
		args = append(args, "--no-cache")
	}
	if p.Cache == CacheInline {
		args = append(args, "--cache-to=type=inline")
	}
	return append(args, ".")
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func stackEnvironment(p Params) map[string]string {
	env := environment(p)
	env[varRegistry], env[varCacheRepository] = "registry.test:5000", "cache"
	return env
}

func TestScriptAsksBuildKitForExactlyWhatWasRequested(t *testing.T) {
	nasty := "a'b\"c`touch canary`$(touch canary);>canary\n*?[x] --flag \\n%41 +&=é"
	for name, p := range map[string]Params{
		"defaults":          {Tags: []string{"app:1"}},
		"every text":        {Tags: []string{"team/app:1", "team/app:latest", "other"}, Context: "sub dir", Dockerfile: "x/-Docker $(touch canary)file", Target: nasty, BuildArgs: map[string]string{"A": nasty, "--b": "", "C": "-"}, Labels: map[string]string{"org.l": nasty}},
		"switches":          {Tags: []string{"app"}, Platforms: []string{"linux/arm64/v8"}, Cache: CacheInline, Pull: true, NoCache: true},
		"attested":          {Tags: []string{"app"}, Provenance: ProvenanceMax, SBOM: true},
		"attested a little": {Tags: []string{"app"}, Provenance: ProvenanceMin},
		"no cache":          {Tags: []string{"app"}, Cache: CacheNone},
		"secrets":           {Tags: []string{"app"}, Secrets: map[string]string{"npm": "team/npm", "_K1": "/team/key", "0aws.config-file": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.write(t, orDefault(p.Context, ".")+"/"+orDefault(p.Dockerfile, "Dockerfile"))
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			got := s.run(t, stackEnvironment(p))
			if diff := cmp.Diff([][]string{asked(s.home, p)}, got.builds()); diff != "" {
				t.Errorf("BuildKit is asked for (-want +got):\n%s\n%s", diff, got.output)
			}
			repository, _, _ := strings.Cut(p.Tags[0], ":")
			want := map[string]string{varImageURI: "registry.test:5000/" + repository + "@" + testDigest, varImageDigest: testDigest, varSourceCommit: ""}
			if diff := cmp.Diff(want, got.exported); diff != "" {
				t.Errorf("exported (-want +got):\n%s", diff)
			}
			s.untouched(t)
		})
	}
}

// Commands run with English messages, buildx does not run git in a context that
// could configure git, and no secret of the clone is left in the environment.
func TestEnvironmentOfCommands(t *testing.T) {
	s := newSource(t)
	s.run(t, map[string]string{"LC_ALL": "C.UTF-8", "GIT_TOKEN": "hunter2"}).works(t)
	env, err := os.ReadFile(s.record + ".env")
	if err != nil {
		t.Fatal(err)
	}
	builds := strings.Split(string(env), "declare -x BUILDKIT_HOST=")
	last := builds[len(builds)-1]
	for _, want := range []string{`LC_ALL="C"`, `BUILDX_GIT_INFO="false"`, `BUILDX_GIT_LABELS="false"`, `BUILDX_METADATA_PROVENANCE="disabled"`} {
		if !strings.Contains(last, "declare -x "+want+"\n") {
			t.Errorf("buildx is called without %s", want)
		}
	}
	if strings.Contains(last, "hunter2") {
		t.Error("buildx is called with the token of the clone")
	}
}

// untouched fails when something besides the script's own files appeared.
func (s sandbox) untouched(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(s.root, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "canary") && !strings.Contains(path, "touch") {
			t.Errorf("a value was run as code: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzScript(f *testing.F) {
	langs := []string{"en_US.UTF-8", "C.UTF-8", ""} // of whoever starts the build
	for lang := range langs {
		f.Add("app:1", "sub", "Dockerfile", "stage", "NAME", "value", uint8(lang))
		f.Add("app", "$(touch canary)", "`touch canary`", ";touch canary", "'", "\"\n$(>canary)", uint8(lang))
		f.Add("a/b:c d", "-x", "-f", "--push", "--x", "\xff\xfe*?[a]", uint8(lang))
		f.Add("a", "\xc3", "é~", "\u0130ı", "~*", "~é\u2028\n\xc3", uint8(lang))
	}
	f.Fuzz(func(t *testing.T, tag, context, dockerfile, target, name, value string, lang uint8) {
		for _, text := range []string{tag, context, dockerfile, target, name, value} {
			if strings.Contains(text, "\x00") || len(text) > 100 {
				t.Skip("not a value of an environment variable")
			}
		}
		s := newSandbox(t)
		p := Params{Tags: strings.Fields(tag), Target: target, BuildArgs: map[string]string{name: value}, Labels: map[string]string{name: value}}
		if plainName(context) && plainName(dockerfile) {
			p.Context, p.Dockerfile = context, dockerfile
		}
		s.write(t, orDefault(p.Context, ".")+"/"+orDefault(p.Dockerfile, "Dockerfile"))
		env := stackEnvironment(p)
		if lang := langs[int(lang)%len(langs)]; lang != "" {
			env["LANG"], env["LC_ALL"] = lang, lang
		}
		got := s.run(t, env)
		builds := got.builds()
		if p.Validate() == nil || len(builds) > 0 {
			if diff := cmp.Diff([][]string{asked(s.home, p)}, builds); diff != "" {
				t.Errorf("BuildKit is asked for (-want +got):\n%s\n%s", diff, got.output)
			}
		}
		s.untouched(t)
	})
}

// The values of the stack's variables are written into a TOML file and into
// arguments.
func FuzzMirrors(f *testing.F) {
	f.Add("docker.io=r.test/hub quay.io=r.test:5000", "a.test b.test:1")
	f.Add("x=y\"]\n[worker.oci]\nenabled = [\"", "--config=x")
	f.Add("a[$(touch canary)]=b", "`touch canary`")
	f.Add("=", "-\xff")
	line := regexp.MustCompile(`^(\[registry\."[A-Za-z0-9.-]+(:[0-9]+)?"\]|  mirrors = \["[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*"(, "[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*")*\])\n$`)
	f.Fuzz(func(t *testing.T, mirrors, registries string) {
		if text := mirrors + registries; strings.Contains(text, "\x00") || len(text) > 200 {
			t.Skip("no values of environment variables")
		}
		s := newSandbox(t)
		s.write(t, "Dockerfile")
		got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "MIRRORS": mirrors, "BASE_REGISTRIES": registries, "BUILDKIT_HOST": "", "TEST_DRIVER": "docker-container"})
		text, err := os.ReadFile(s.home + "/.flexbuild/buildkitd.toml")
		if (err == nil) != (got.status == 0) || got.status != 0 && got.status != ExitParameter {
			t.Errorf("exit status %d, configuration: %v\n%s", got.status, err, got.output)
		}
		for l := range strings.Lines(string(text)) {
			if !line.MatchString(l) {
				t.Errorf("the configuration has the line %q", l)
			}
		}
		for _, login := range got.logins() {
			if _, registry, _ := strings.Cut(login, " "); !registryForm().MatchString(registry) {
				t.Errorf("a login to %q", registry)
			}
		}
		s.untouched(t)
	})
}

// plainName reports whether a file of that name can be made.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}

func TestScriptReadsWhatParamsWrite(t *testing.T) {
	script := strings.Join(parseSource(t).Phases["build"].Commands, "\n")
	read := map[string]bool{}
	for _, match := range regexp.MustCompile(`\$\{?([A-Z][A-Z0-9_]+)\b`).FindAllStringSubmatch(script, -1) {
		read[match[1]] = true
	}
	for name := range read {
		if strings.HasPrefix(name, "CODEBUILD_") {
			delete(read, name)
		}
	}
	for _, ofTheMachine := range []string{"HOME", "PATH", "PWD", "BASH_COMMAND", "BASH_REMATCH", "PIPESTATUS", "BUILDKIT_HOST", "DOCKER_HOST"} {
		delete(read, ofTheMachine)
	}
	written := map[string]bool{VarMirrors: true, VarBaseRegistries: true, VarBuilder: true, VarCreateOnPush: true, VarCacheExpiry: true}
	p := everything
	p.RequestID, p.Metadata = "", nil // for others than the script
	for _, v := range p.Environment() {
		if !strings.HasPrefix(v.Name, SecretPrefix) { // these the script names by SECRETS
			written[v.Name] = true
		}
	}
	if diff := cmp.Diff(written, read); diff != "" {
		t.Errorf("variables (-Params write, +the script reads):\n%s", diff)
	}
}

func TestExportedVariablesAreTheOutcome(t *testing.T) {
	want := []string{varContract, varImageURI, varImageDigest, varSourceCommit}
	if diff := cmp.Diff(want, parseSource(t).Env.Exported); diff != "" {
		t.Errorf("exported-variables (-want +got):\n%s", diff)
	}
	if !strings.Contains(Source(), fmt.Sprintf("CONTRACT: %q", Version)) {
		t.Errorf("buildspec.yml does not export contract version %s", Version)
	}
}

func TestShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Fatal("shellcheck is needed: apt-get install shellcheck (make test does)")
	}
	scripts := []string{script}
	for _, p := range parseSource(t).Phases {
		for _, command := range p.Commands {
			before, _, _ := strings.Cut(command, "<<'END'")
			scripts = append(scripts, before)
		}
	}
	for _, text := range scripts {
		cmd := exec.Command(shellcheck, "--shell=bash", "--severity=style", "--exclude=SC1090,SC1091", "-")
		cmd.Stdin = strings.NewReader(text)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	}
}

func TestBuildspecFitsIntoAProject(t *testing.T) {
	const most = 25_600 // the API refuses a longer inline buildspec
	if n := len(Source()); n > most {
		t.Errorf("the buildspec has %d characters, CodeBuild takes %d", n, most)
	}
}
