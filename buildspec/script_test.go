package buildspec

import (
	"errors"
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
	"go.yaml.in/yaml/v3"
)

// The tests below run the real script in the real bash. The commands it calls,
// docker and aws, are testdata/recorder.
const (
	testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	testID     = "flexbuild:11111111-2222-3333-4444-555555555555"
)

type call struct {
	name string
	args []string
}

// document is what the tests need of buildspec.yml.
type document struct {
	Env struct {
		Exported []string `yaml:"exported-variables"`
	}
	Phases map[string]struct{ Commands []string }
}

func parseSource(t testing.TB) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal([]byte(Source()), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// sandbox is a place for one run of the script.
type sandbox struct{ root, source, home, record, path string }

func newSandbox(t testing.TB) sandbox {
	t.Helper()
	root := t.TempDir()
	s := sandbox{root, root + "/src", root + "/home", root + "/record", root + "/bin"}
	for _, dir := range []string{s.source, s.home, s.path} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	recorder, err := filepath.Abs("testdata/recorder")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker", "aws"} {
		symlink(t, recorder, filepath.Join(s.path, name))
	}
	for _, name := range []string{
		"awk", "basename", "bash", "cat", "cp", "date", "git", "grep", "gzip", "ls", "mkdir", "readlink", "rm",
		"sed", "sha256sum", "sleep", "tail", "tar", "tee", "timeout", "uname",
	} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		symlink(t, real, filepath.Join(s.path, name))
	}
	return s
}

func symlink(t testing.TB, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

type ran struct {
	output   string
	status   int
	exported map[string]string
	calls    []call
}

// builds are the arguments of the `docker buildx build` calls that push an image.
func (r ran) builds() [][]string { return r.buildx(false) }

// exports are those of the calls that export a cache.
func (r ran) exports() [][]string { return r.buildx(true) }

func (r ran) buildx(export bool) [][]string {
	var all [][]string
	for _, c := range r.calls {
		if c.name == "docker" && len(c.args) > 1 && c.args[0] == "buildx" && c.args[1] == "build" &&
			slices.Contains(c.args, "--output=type=cacheonly") == export {
			all = append(all, c.args[2:])
		}
	}
	return all
}

// run executes the commands of the build phase as the agent does, then the
// variables are looked at.
func (s sandbox) run(t testing.TB, env map[string]string) ran {
	t.Helper()
	commands := slices.Clone(parseSource(t).Phases["build"].Commands)
	commands = append(commands, `printf '\0%s\0%s\0%s' "$IMAGE_URI" "$IMAGE_DIGEST" "$SOURCE_COMMIT"`)
	cmd := exec.Command("bash", "-c", "set -e\n"+strings.Join(commands, "\n"))
	cmd.Dir = s.source
	cmd.Env = []string{
		"PATH=" + s.path, "HOME=" + s.home, "TEST_RECORD=" + s.record,
		"CODEBUILD_BUILD_ID=" + testID, "CODEBUILD_SRC_DIR=" + s.source,
		"CODEBUILD_BUILD_ARN=arn:aws:codebuild:eu-west-1:123456789012:build/" + testID,
		"BUILDKIT_HOST=unix:///run/buildkit.sock", "TEST_DRIVER=remote", "TEST_DIGEST=" + testDigest, "TEST_STATUS=0",
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, exported, _ := strings.Cut(string(output), "\x00")
	r := ran{output: text, status: cmd.ProcessState.ExitCode(), calls: s.calls(t)}
	if values := strings.Split(exported, "\x00"); len(values) == 3 {
		r.exported = map[string]string{varImageURI: values[0], varImageDigest: values[1], varSourceCommit: values[2]}
	}
	return r
}

func (s sandbox) calls(t testing.TB) []call {
	t.Helper()
	text, err := os.ReadFile(s.record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var all []call
	for words := strings.Split(string(text), "\x00"); len(words) > 1; {
		count, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, call{words[0], words[2 : 2+count]})
		words = words[2+count:]
	}
	return all
}

func (s sandbox) write(t testing.TB, name string) {
	t.Helper()
	path := s.source + "/" + name
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func environment(p Params) map[string]string {
	env := map[string]string{}
	for _, v := range p.Environment() {
		env[v.Name] = v.Value
	}
	return env
}

// asked is what BuildKit must be asked for, given p, in a build whose stack
// has registry.test and the cache repository "cache".
func asked(home string, p Params) []string {
	const registry = "registry.test:5000"
	args := []string{
		"--builder", "flexbuild-" + strings.TrimPrefix(testID, "flexbuild:"), "--progress", "plain",
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
	args = append(args, "--output=type=registry", "--metadata-file", home+"/.flexbuild/metadata.json",
		"--sbom="+strconv.FormatBool(p.SBOM))
	if p.Provenance == ProvenanceOff {
		args = append(args, "--provenance=false")
	} else {
		args = append(args, "--provenance=mode="+string(p.Provenance))
	}
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
		"defaults":   {Tags: []string{"app:1"}},
		"every text": {Tags: []string{"team/app:1", "team/app:latest", "other"}, Context: "sub dir", Dockerfile: "x/-Docker $(touch canary)file", Target: nasty, BuildArgs: map[string]string{"A": nasty, "--b": "", "C": "-"}, Labels: map[string]string{"org.l": nasty}},
		"switches":   {Tags: []string{"app"}, Platforms: []string{"linux/arm64/v8"}, Cache: CacheInline, Pull: true, NoCache: true},
		"no cache":   {Tags: []string{"app"}, Cache: CacheNone},
		"secrets":    {Tags: []string{"app"}, Secrets: map[string]string{"npm": "team/npm", "_K1": "/team/key", "0aws.config-file": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
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

func TestWhichRegistryABuildPushesTo(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"the stack's", map[string]string{"REGISTRY": "r.test"}, "r.test"},
		{"the build's own without one", nil, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
		{"the article's variables naming the stack's place", map[string]string{"REGISTRY": "r.test", "REGION": "eu-west-1", "ACCOUNT": "123456789012"}, "r.test"},
		{"another region", map[string]string{"REGISTRY": "r.test", "REGION": "us-east-1"}, "123456789012.dkr.ecr.us-east-1.amazonaws.com"},
		{"another account", map[string]string{"REGISTRY": "r.test", "ACCOUNT": "210987654321"}, "210987654321.dkr.ecr.eu-west-1.amazonaws.com"},
		{"China", map[string]string{"REGION": "cn-north-1"}, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSandbox(t)
			s.write(t, "Dockerfile")
			env := map[string]string{"TAG": "app:1"}
			maps.Copy(env, test.env)
			got := s.run(t, env)
			if builds := got.builds(); len(builds) != 1 || !slices.Contains(builds[0], test.want+"/app:1") {
				t.Errorf("builds %q, want a push to %s\n%s", builds, test.want, got.output)
			}
		})
	}
}

func TestScriptRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		env    map[string]string
		status int
		says   string
	}{
		"no TAG":                  {map[string]string{"TAG": ""}, ExitParameter, "TAG: give at least one"},
		"a bad reference":         {map[string]string{"TAG": "UPPER:1"}, ExitParameter, `TAG: "UPPER:1"`},
		"a line break in REGION":  {map[string]string{"REGION": "a\n[flexbuild " + testID + "] end"}, ExitParameter, `error REGION: "a [flexbuild`},
		"an odd cache":            {map[string]string{"CACHE": "gha"}, ExitParameter, "CACHE"},
		"an odd switch":           {map[string]string{"PULL": "yes"}, ExitParameter, "PULL"},
		"two platforms":           {map[string]string{"PLATFORMS": "linux/amd64,linux/arm64"}, ExitParameter, "PLATFORMS"},
		"pairs not encoded":       {map[string]string{"BUILD_ARGS": "A=b c"}, ExitParameter, "BUILD_ARGS"},
		"a pair without a value":  {map[string]string{"LABELS": "A"}, ExitParameter, "LABELS"},
		"NUL in a pair":           {map[string]string{"LABELS": "A=%00"}, ExitParameter, "LABELS"},
		"a missing Dockerfile":    {map[string]string{"DOCKERFILE": "Nope"}, ExitSource, `no file "Nope"`},
		"a directory for a file":  {map[string]string{"DOCKERFILE": "sub"}, ExitSource, `no file "sub"`},
		"a missing context":       {map[string]string{"CONTEXT": "nope"}, ExitSource, `no directory "nope"`},
		"a context outside":       {map[string]string{"CONTEXT": "../home"}, ExitSource, `CONTEXT: "../home" leads out of the source`},
		"a link that leads out":   {map[string]string{"CONTEXT": "out"}, ExitSource, `CONTEXT: "out" leads out of the source`},
		"a Dockerfile elsewhere":  {map[string]string{"DOCKERFILE": "linked"}, ExitSource, `DOCKERFILE: "linked" leads out of the source`},
		"a Dockerfile outside":    {map[string]string{"DOCKERFILE": "out/Dockerfile"}, ExitSource, `no file "out/Dockerfile"`},
		"a secret's id":           {map[string]string{"SECRETS": "a,src=/etc/passwd", "SECRET_a": "x"}, ExitParameter, `SECRETS: "a,src=/etc/passwd"`},
		"a secret that is absent": {map[string]string{"SECRETS": "a b", "SECRET_a": "x"}, ExitParameter, "SECRETS: there is no SECRET_b"},
		"a mirror without a host": {map[string]string{"MIRRORS": "r.test/hub"}, ExitParameter, `MIRRORS: "r.test/hub"`},
		"a mirror that is TOML":   {map[string]string{"MIRRORS": `docker.io=r.test"]`}, ExitParameter, "MIRRORS"},
		"a registry of an option": {map[string]string{"BASE_REGISTRIES": "--password-stdin"}, ExitParameter, "BASE_REGISTRIES"},
		"git of another protocol": {map[string]string{"GIT_URL": "ext::sh -c id"}, ExitParameter, "GIT_URL"},
		"a password in a URL":     {map[string]string{"GIT_URL": "https://u:hunter2@h/x.git"}, ExitParameter, "GIT_URL"},
		"a ref that is an option": {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "--upload-pack=id"}, ExitParameter, "GIT_REF"},
		"a host that is not there": {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "main"},
			ExitSource, "GIT_URL: cannot clone http://127.0.0.1:1/x.git"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.write(t, "Dockerfile")
			s.write(t, "sub/Dockerfile")
			symlink(t, s.home, s.source+"/out")
			symlink(t, "/etc/passwd", s.source+"/linked")
			env := map[string]string{"TAG": "app:1", "REGISTRY": "r.test"}
			maps.Copy(env, test.env)
			got := s.run(t, env)
			if got.status != test.status || len(got.builds()) != 0 {
				t.Errorf("exit status %d, builds %q; want status %d and none\n%s", got.status, got.builds(), test.status, got.output)
			}
			if !strings.Contains(got.output, "["+"flexbuild "+testID+"] error ") || !strings.Contains(got.output, test.says) {
				t.Errorf("output lacks %q:\n%s", test.says, got.output)
			}
			if strings.Contains(got.output, "hunter2") {
				t.Errorf("output tells the password:\n%s", got.output)
			}
		})
	}
}

func TestStepsDownToThePlainDaemon(t *testing.T) {
	s := newSandbox(t)
	s.write(t, "Dockerfile")
	got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "CACHE_REPOSITORY": "cache", "BUILDKIT_HOST": "", "TEST_DRIVER": "docker"})
	builds := got.builds()
	if len(builds) != 1 || !slices.Contains(builds[0], "default") || !slices.Contains(builds[0], "--cache-to=type=inline") {
		t.Errorf("builds %q, want one by the default builder with inline cache\n%s", builds, got.output)
	}
	for _, note := range []string{"the Docker daemon builds: cannot pull moby/buildkit", "the cache goes into the image (inline)"} {
		if !strings.Contains(got.output, note) {
			t.Errorf("output does not say %q:\n%s", note, got.output)
		}
	}
}

func TestMirrorsOfBaseImages(t *testing.T) {
	for name, test := range map[string]struct {
		mirrors string
		want    map[string]string // in order, as in the file
		image   string            // that BuildKit itself is pulled as; none for Docker Hub's
	}{
		"none":                  {"", map[string]string{}, ""},
		"another":               {"docker.io=public.ecr.aws/docker quay.io=r.test:5000/q/uay", map[string]string{"docker.io": "public.ecr.aws/docker", "quay.io": "r.test:5000/q/uay"}, ""},
		"Docker Hub":            {"docker.io=r.test/docker-hub", map[string]string{"docker.io": "r.test/docker-hub"}, "image=r.test/docker-hub/moby/buildkit:buildx-stable-1"},
		"given twice":           {" ghcr.io=a.test/x\n ghcr.io=b.test/y ", map[string]string{"ghcr.io": `a.test/x", "b.test/y`}, ""},
		"several of Docker Hub": {"docker.io=public.ecr.aws/docker docker.io=mirror.gcr.io", map[string]string{"docker.io": `public.ecr.aws/docker", "mirror.gcr.io`}, "image=mirror.gcr.io/moby/buildkit:buildx-stable-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.write(t, "Dockerfile")
			got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "MIRRORS": test.mirrors, "BUILDKIT_HOST": "", "TEST_DRIVER": "docker-container"})
			text, err := os.ReadFile(s.home + "/.flexbuild/buildkitd.toml")
			if err != nil {
				t.Fatalf("%v\n%s", err, got.output)
			}
			mirrors := map[string]string{}
			for _, block := range regexp.MustCompile(`(?m)^\[registry\."(.*)"\]\n  mirrors = \["(.*)"\]\n`).FindAllStringSubmatch(string(text), -1) {
				mirrors[block[1]] = block[2]
			}
			if diff := cmp.Diff(test.want, mirrors); diff != "" {
				t.Errorf("mirrors (-want +got):\n%s", diff)
			}
			image := ""
			for _, c := range got.calls {
				if i := slices.IndexFunc(c.args, func(arg string) bool { return strings.HasPrefix(arg, "image=") }); i >= 0 {
					image = c.args[i]
				}
			}
			if image != test.image {
				t.Errorf("BuildKit's image is %q, want %q", image, test.image)
			}
		})
	}
}

func TestLogsInToEachRegistryOfBaseImages(t *testing.T) {
	const base = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
	for name, test := range map[string]struct {
		env  map[string]string
		want []string // region and registry
	}{
		"none":    {nil, []string{"eu-west-1 r.test"}},
		"another": {map[string]string{"BASE_REGISTRIES": base + " r.test"}, []string{"eu-west-1 r.test", "us-east-1 " + base}},
		"the stack's, when the push goes elsewhere": {
			map[string]string{"REGION": "eu-west-3", "MIRRORS": "quay.io=123456789012.dkr.ecr.eu-west-1.amazonaws.com/quay", "REGISTRY": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
			[]string{"eu-west-3 123456789012.dkr.ecr.eu-west-3.amazonaws.com", "eu-west-1 123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.write(t, "Dockerfile")
			env := map[string]string{"TAG": "app:1", "REGISTRY": "r.test"}
			maps.Copy(env, test.env)
			got := s.run(t, env)
			if diff := cmp.Diff(test.want, got.logins()); diff != "" {
				t.Errorf("logins (-want +got):\n%s\n%s", diff, got.output)
			}
		})
	}
}

// logins are the region and the registry of each login.
func (r ran) logins() []string {
	var regions, registries []string
	for _, c := range r.calls {
		switch last := c.args[len(c.args)-1]; {
		case c.name == "aws" && slices.Contains(c.args, "get-login-password"):
			regions = append(regions, last)
		case c.args[0] == "login":
			registries = append(registries, last)
		}
	}
	var all []string
	for i := range min(len(regions), len(registries)) {
		all = append(all, regions[i]+" "+registries[i])
	}
	return all
}

func TestMirrorsThatDoNotApplyAreSaid(t *testing.T) {
	s := newSandbox(t)
	s.write(t, "Dockerfile")
	got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "MIRRORS": "quay.io=r.test/quay", "BUILDKIT_HOST": "", "TEST_DRIVER": "docker"})
	if !strings.Contains(got.output, "] note MIRRORS do not apply") || len(got.builds()) != 1 {
		t.Errorf("builds %q, want one, and a note about MIRRORS\n%s", got.builds(), got.output)
	}
}

func TestOutputEndsWithTheScript(t *testing.T) {
	for name, status := range map[string]string{"a build that works": "0", "one that fails": "1"} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.write(t, "Dockerfile")
			got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "TEST_STATUS": status})
			if want, _ := strconv.Atoi(status); got.status != want {
				t.Errorf("exit status %d, want buildx's own, %d\n%s", got.status, want, got.output)
			}
			if !strings.HasSuffix(got.output, "[flexbuild "+testID+"] done\n") {
				t.Errorf("output does not end with the marker:\n%s", got.output)
			}
		})
	}
}

func FuzzScript(f *testing.F) {
	f.Add("app:1", "sub", "Dockerfile", "stage", "NAME", "value")
	f.Add("app", "$(touch canary)", "`touch canary`", ";touch canary", "'", "\"\n$(>canary)")
	f.Add("a/b:c d", "-x", "-f", "--push", "--x", "\xff\xfe*?[a]")
	f.Fuzz(func(t *testing.T, tag, context, dockerfile, target, name, value string) {
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
		got := s.run(t, stackEnvironment(p))
		builds := got.builds()
		if p.Validate() == nil || len(builds) > 0 {
			if diff := cmp.Diff([][]string{asked(s.home, p)}, builds); diff != "" {
				t.Errorf("BuildKit is asked for (-want +got):\n%s\n%s", diff, got.output)
			}
		}
		s.untouched(t)
	})
}

// What the stack's variables say goes into a file of TOML and into arguments.
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
			if _, registry, _ := strings.Cut(login, " "); !registryForm.MatchString(registry) {
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
	for _, ofTheMachine := range []string{"HOME", "PATH", "PWD", "BASH_COMMAND", "BASH_REMATCH", "BUILDKIT_HOST", "DOCKER_HOST"} {
		delete(read, ofTheMachine)
	}
	written := map[string]bool{VarMirrors: true, VarBaseRegistries: true, VarBuilder: true, VarCreateOnPush: true, VarCacheExpiry: true}
	for _, v := range everything.Environment() {
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
			before, _, _ := strings.Cut(command, "<<'END_OF_SCRIPT'")
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

func TestStepsMayPrintAsMuchAsTheyLike(t *testing.T) {
	s := newSandbox(t)
	s.write(t, "Dockerfile")
	got := s.run(t, map[string]string{"TAG": "app:1", "REGISTRY": "r.test", "BUILDKIT_HOST": "", "TEST_DRIVER": "docker-container"})
	for _, limit := range []string{"SIZE", "SPEED"} {
		if option := "env.BUILDKIT_STEP_LOG_MAX_" + limit + "=-1"; !slices.ContainsFunc(got.calls, func(c call) bool { return slices.Contains(c.args, option) }) {
			t.Errorf("no builder is created with %s\n%s", option, got.output)
		}
	}
}
