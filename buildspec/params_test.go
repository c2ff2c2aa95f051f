package buildspec

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var everything = Params{
	Tags:            []string{"team/app:1", "team/app:latest"},
	Registry:        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
	Region:          "eu-west-1",
	Account:         "123456789012",
	Context:         "service",
	Dockerfile:      "docker/Dockerfile",
	Target:          "release",
	BuildArgs:       map[string]string{"A": "1", "B": "two words & more"},
	Labels:          map[string]string{"org.example.ref": "a=b"},
	Platforms:       []string{"linux/arm64"},
	Cache:           CacheInline,
	CacheRepository: "team/cache",
	Secrets:         map[string]string{"npm": "team/npm-token", "key": "/team/key"},
	Pull:            true,
	NoCache:         true,
	Provenance:      ProvenanceMax,
	SBOM:            true,
	SourceSHA256:    strings.Repeat("0123456789abcdef", 4),
	GitURL:          "https://git.example.com/team/app.git",
	GitRef:          "main",
	GitChecksum:     "0123456789abcdef",
	GitToken:        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:git/token-AbCdEf:token::",
	RequestID:       "8c7cd3f2-1b4f-4f0e-9f0a-3f9d9f1d2a11",
	Metadata:        map[string]string{"team": "a & b"},
}

func TestEnvironmentCarriesParamsBothWays(t *testing.T) {
	got, err := ParseParams(environment(everything))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everything, got); diff != "" {
		t.Errorf("params (-sent +received):\n%s", diff)
	}
}

func TestEnvironmentLeavesDefaultsOut(t *testing.T) {
	got := Params{Tags: []string{"app:1"}}.Environment()
	if diff := cmp.Diff([]Variable{{"TAG", "app:1", Plaintext}}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestSecretsAreNamedByTheirStore(t *testing.T) {
	p, got := everything, []Variable(nil)
	p.GitToken = "/team/git-token" // a secret's name may begin like a parameter's
	for _, v := range p.Environment() {
		if strings.Contains(v.Name, "SECRET") || v.Name == varGitToken {
			got = append(got, v)
		}
	}
	want := []Variable{
		{"SECRETS", "key npm", Plaintext},
		{"GIT_TOKEN", "/team/git-token", SecretsManager},
		{"SECRET_key", "/team/key", ParameterStore},
		{"SECRET_npm", "team/npm-token", SecretsManager},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestValidateNamesTheVariableAndTheValue(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Params)
		says   string
	}{
		"no tag":                {func(p *Params) { p.Tags = nil }, "TAG: no tag given"},
		"a registry in a tag":   {func(p *Params) { p.Tags = []string{"host:5000/app:1"} }, `TAG: "host:5000/app:1"`},
		"an upper-case name":    {func(p *Params) { p.Tags = []string{"App"} }, `TAG: "App"`},
		"a digest":              {func(p *Params) { p.Tags = []string{"app@sha256:00"} }, `TAG: "app@sha256:00"`},
		"a tag with a space":    {func(p *Params) { p.Tags = []string{"app:1 x"} }, `TAG: "app:1 x"`},
		"a registry as URL":     {func(p *Params) { p.Registry = "https://h" }, `REGISTRY: "https://h"`},
		"an account":            {func(p *Params) { p.Account = "12" }, `ACCOUNT: "12"`},
		"a context outside":     {func(p *Params) { p.Context = "a/../../b" }, `CONTEXT: "a/../../b" leads out`},
		"an absolute context":   {func(p *Params) { p.Context = "/etc" }, `CONTEXT: "/etc" is an absolute path`},
		"a build argument name": {func(p *Params) { p.BuildArgs = map[string]string{"": "x"} }, "BUILD_ARGS"},
		"a binary label":        {func(p *Params) { p.Labels = map[string]string{"x": "\xff"} }, `LABELS: "\xff"`},
		"two platforms":         {func(p *Params) { p.Platforms = []string{"linux/amd64", "linux/arm64"} }, "PLATFORMS"},
		"a platform":            {func(p *Params) { p.Platforms = []string{"a/b/c/d"} }, `PLATFORMS: "a/b/c/d"`},
		"a cache mode":          {func(p *Params) { p.Cache = "gha" }, `CACHE: "gha"`},
		"a ref alone":           {func(p *Params) { p.GitURL, p.GitToken = "", "" }, `GIT_REF: "main"`},
		"a ref like an option":  {func(p *Params) { p.GitRef = "-x" }, `GIT_REF: "-x"`},
		"a password in a URL":   {func(p *Params) { p.GitURL = "https://u:hunter2@h/x" }, "GIT_URL"},
		"a token over http":     {func(p *Params) { p.GitURL = "http://h/x.git" }, "GIT_TOKEN: it is sent over https only"},
		"a token alone":         {func(p *Params) { p.GitURL, p.GitRef = "", "" }, "GIT_TOKEN: it is sent over https only"},
		"a token itself":        {func(p *Params) { p.GitToken = "git:hunter2 with words" }, "GIT_TOKEN: give the name"},
		"a secret's id":         {func(p *Params) { p.Secrets = map[string]string{"a b": "x"} }, `SECRETS: "a b" is not an id`},
		"secrets that collide":  {func(p *Params) { p.Secrets = map[string]string{"a-b": "x", "a.b": "x"} }, `SECRETS: "a-b" and "a.b" would share the variable SECRET_a_b`},
		"a secret itself":       {func(p *Params) { p.Secrets = map[string]string{"a": "hunter2 with words"} }, `SECRETS: "a": give the name`},
		"a secret of nothing":   {func(p *Params) { p.Secrets = map[string]string{"a": ""} }, `SECRETS: "a": give the name`},
		"a provenance mode":     {func(p *Params) { p.Provenance = "full" }, `PROVENANCE: "full": use off, min or max`},
		"a checksum too short":  {func(p *Params) { p.GitChecksum = "abcdef" }, `GIT_CHECKSUM: "abcdef" is not the beginning of a commit`},
		"a checksum's form":     {func(p *Params) { p.GitChecksum = "ABCDEF0" }, `GIT_CHECKSUM: "ABCDEF0"`},
		"a request's id":        {func(p *Params) { p.RequestID = "a b" }, `REQUEST_ID: "a b" is not an id`},
		"no name in metadata":   {func(p *Params) { p.Metadata = map[string]string{"": "x"} }, `METADATA: "" is not a name`},
		"a value too long":      {func(p *Params) { p.BuildArgs = map[string]string{"A": strings.Repeat("x", 4096)} }, "BUILD_ARGS: its value has 4098 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			p := everything
			test.change(&p)
			err := p.Validate()
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error contains the password: %v", err)
			}
		})
	}
}

// Each token is made up here, with the mark of the service and its length.
func TestATokenIsNotTakenForTheNameOfASecret(t *testing.T) {
	const random = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
	tokens := []string{
		"ghp_" + random, "gho_" + random, "ghu_" + random, "ghs_" + random, "ghr_" + random, "github_pat_" + random,
		"glpat-" + random[:20], "glrt-t1_" + random[:20], "AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE",
		"npm_" + random, "xoxb-123456789012-" + random, "sk-" + random, "sk-proj-" + random + "_" + random, "sk_live_" + random[:24],
		"sk-ant-api03-" + random, "hf_" + random, "dckr_pat_" + random[:27], "ATBB" + random[:28],
	}
	for _, token := range tokens {
		for name, change := range map[string]func(*Params){
			"a secret":    func(p *Params) { p.Secrets = map[string]string{"a": token} },
			"an id":       func(p *Params) { p.Secrets = map[string]string{token: "a"} },
			"git's":       func(p *Params) { p.GitToken = token },
			"with a user": func(p *Params) { p.GitToken = "x-access-token:" + token },
		} {
			p := everything
			change(&p)
			if err := p.Validate(); err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "looks like") {
				t.Errorf("%s, %s…: %v", name, token[:6], err)
			}
		}
	}
	for _, name := range []string{
		"ghp_token", "npm_read_only_token_of_team2", "sk-prod-database-password-v2", "global-database-password-production", "glpat-ci",
		"AKIA", "team/ghp_" + random, "hf_token", "pypi-upload", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:npm_token-AbCdEf:token::",
	} {
		p := everything
		p.Secrets, p.GitToken = map[string]string{"a": name}, name
		if err := p.Validate(); err != nil {
			t.Errorf("the name %s: %v", name, err)
		}
	}
}

func TestReasonsOfExitStatuses(t *testing.T) {
	for status, want := range map[int]string{
		1: "docker buildx build failed", 64: "a build parameter is not valid", 71: "a command of the build's script failed: the log says which",
		128: "the build's script ended with exit status 128", 127: "the build's script could not be run (exit status 127): the build's image lacks bash or docker, or the log says what",
	} {
		if got := ExitReason(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

func FuzzParamsSurviveTheEnvironment(f *testing.F) {
	f.Add("app:1", "A", "b\nc", "stage")
	f.Fuzz(func(t *testing.T, tag, name, value, target string) {
		p := Params{Tags: []string{tag}, BuildArgs: map[string]string{name: value}, Target: target}
		if p.Validate() != nil {
			return
		}
		got, err := ParseParams(environment(p))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("params (-sent +received):\n%s", diff)
		}
	})
}

func TestParseOutcomeNeedsAnImage(t *testing.T) {
	uri := "r.test/app@" + testDigest
	good := map[string]string{varContract: "1", varImageURI: uri, varImageDigest: testDigest, varSourceCommit: "abc"}
	got, err := ParseOutcome(good)
	if want := (Outcome{uri, testDigest, "abc", "1"}); err != nil || got != want {
		t.Errorf("outcome %+v, %v; want %+v", got, err, want)
	}
	for _, name := range []string{varImageURI, varImageDigest} {
		bad := maps.Clone(good)
		bad[name] = "sha256:short"
		if _, err := ParseOutcome(bad); err == nil {
			t.Errorf("no error with %s=%q", name, bad[name])
		}
	}
}

func TestLogDistinguishesOutputFromEcho(t *testing.T) {
	const agent = "[Container] 2026/01/02 03:04:05.000000 "
	text := []struct {
		line string
		want LineKind
	}{
		{agent + "Running command set -e", Agent},
		{"say() { printf '[flexbuild %s] %s\\n' …", Agent},
		{"[flexbuild $CODEBUILD_BUILD_ID] begin", Agent},
		{"", Agent},
		{"[flexbuild " + testID + "] begin", Agent},
		{"#1 [internal] load build definition", Output},
		{"[flexbuild other:id] end", Output},
		{"[flexbuild " + testID + "] note it is slow", Note},
		{"#2 DONE", Output},
		{"[flexbuild " + testID + "] error it broke", Error},
		{"[flexbuild " + testID + "] done", Agent},
		{"", Agent},
		{"[flexbuild " + testID + "] begin", Agent},
		{"cut short", Output},
		{agent + "Command did not exit successfully", Agent},
		{"more", Agent},
		{"[flexbuild " + testID + "] end", End},
	}
	log := NewLog(testID)
	var got, want []LineKind
	for _, line := range text {
		got = append(got, log.Line(line.line).Kind)
		want = append(want, line.want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
}

func TestOutcomeIsParsedFromWhatItExports(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	want := Outcome{ImageURI: "registry.example/app@" + digest, ImageDigest: digest, SourceCommit: "abc", Contract: Version}
	if got, err := ParseOutcome(want.Exported()); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMarksAreTheBuildsOwn(t *testing.T) {
	for event, want := range map[string]LineKind{EventBegin: Agent, EventDone: Agent, EventEnd: End} {
		if got := NewLog("project:1").Line(Mark("project:1", event)).Kind; got != want {
			t.Errorf("%s is read as %v, want %v", event, got, want)
		}
		if got := NewLog("project:2").Line(Mark("project:1", event)).Kind; got != Agent {
			t.Errorf("%s of another build is read as %v", event, got)
		}
	}
	log := NewLog("project:1")
	log.Line(Mark("project:1", EventBegin))
	if got := log.Line("#1 output").Kind; got != Output {
		t.Errorf("after the begin, a line is read as %v", got)
	}
}
