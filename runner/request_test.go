package runner

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

var testOutputs = map[string]string{
	"ContractVersion":     buildspec.Version,
	"ProjectName":         "flexbuild",
	"LogGroupName":        "/aws/codebuild/flexbuild",
	"SourceBucketName":    "sources",
	"SourcePrefix":        "sources/",
	"Registry":            "000000000000.dkr.ecr.us-east-1.amazonaws.com",
	"RepositoryNames":     "app,web,team.example/app",
	"RepositoryPrefix":    "team/",
	"CacheRepositoryName": "flexbuild-cache",
	"ArmImage":            "arm:1",
}

func testStack(t testing.TB) Stack {
	t.Helper()
	stack, err := parseStack("flexbuild", testOutputs)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func gitSource(text string) Source {
	source, err := ParseSource(text)
	if err != nil {
		panic(err)
	}
	return source
}

func env(pairs ...string) (all []types.EnvironmentVariable) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, types.EnvironmentVariable{Name: aws.String(pairs[i]), Value: aws.String(pairs[i+1]), Type: types.EnvironmentVariableTypePlaintext})
	}
	return all
}

var submodules = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}

func TestWhatStartBuildIsSent(t *testing.T) {
	for _, test := range []struct {
		name    string
		request Request
		want    *codebuild.StartBuildInput
	}{
		{
			"a repository CodeBuild knows, nothing else asked",
			Request{Source: gitSource("https://github.com/org/repo.git#main"), Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeGithub,
				SourceLocationOverride:       aws.String("https://github.com/org/repo.git"),
				GitCloneDepthOverride:        aws.Int32(1),
				GitSubmodulesConfigOverride:  submodules,
				SourceVersion:                aws.String("main"),
				EnvironmentVariablesOverride: env("TAG", "app:1"),
			},
		},
		{
			"the head of a pull request",
			Request{Source: gitSource("https://github.com/org/repo.git#refs/pull/7/head"), Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeGithub,
				SourceLocationOverride:       aws.String("https://github.com/org/repo.git"),
				GitCloneDepthOverride:        aws.Int32(1),
				GitSubmodulesConfigOverride:  submodules,
				SourceVersion:                aws.String("pr/7"),
				EnvironmentVariablesOverride: env("TAG", "app:1"),
			},
		},
		{
			"the stack's own registry in a name",
			Request{Source: gitSource("https://github.com/org/repo.git"), Tags: []string{testOutputs["Registry"] + "/app:1", "team/x"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeGithub,
				SourceLocationOverride:       aws.String("https://github.com/org/repo.git"),
				GitCloneDepthOverride:        aws.Int32(1),
				GitSubmodulesConfigOverride:  submodules,
				EnvironmentVariablesOverride: env("TAG", "app:1 team/x"),
			},
		},
		{
			"a repository that looks like a host",
			Request{Source: gitSource("https://github.com/org/repo.git"), Tags: []string{"team.example/app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeGithub,
				SourceLocationOverride:       aws.String("https://github.com/org/repo.git"),
				GitCloneDepthOverride:        aws.Int32(1),
				GitSubmodulesConfigOverride:  submodules,
				EnvironmentVariablesOverride: env("TAG", "team.example/app:1"),
			},
		},
		{
			"any other host: the build clones",
			Request{Source: gitSource("https://git.example/repo.git#v1:api"), Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeNoSource,
				EnvironmentVariablesOverride: env("TAG", "app:1", "CONTEXT", "api", "GIT_URL", "https://git.example/repo.git", "GIT_REF", "v1"),
			},
		},
		{
			"a private one",
			Request{Source: Git{URL: "https://git.example/repo.git", Token: "git/token:key::"}, Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride: types.SourceTypeNoSource,
				EnvironmentVariablesOverride: append(env("TAG", "app:1", "GIT_URL", "https://git.example/repo.git"),
					types.EnvironmentVariable{Name: aws.String("GIT_TOKEN"), Value: aws.String("git/token:key::"), Type: types.EnvironmentVariableTypeSecretsManager}),
			},
		},
		{
			"a commit that is verified",
			Request{Source: gitSource("https://git.example/repo.git?tag=v1&checksum=1A2B3C4D"), Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeNoSource,
				EnvironmentVariablesOverride: env("TAG", "app:1", "GIT_URL", "https://git.example/repo.git", "GIT_REF", "refs/tags/v1", "GIT_CHECKSUM", "1a2b3c4d"),
			},
		},
		{
			"and one that CodeBuild downloads",
			Request{Source: gitSource("https://bitbucket.org/team/repo.git?branch=main&checksum=1a2b3c4d"), Tags: []string{"app:1"}},
			&codebuild.StartBuildInput{
				SourceTypeOverride:           types.SourceTypeBitbucket,
				SourceLocationOverride:       aws.String("https://bitbucket.org/team/repo.git"),
				SourceVersion:                aws.String("main"),
				GitCloneDepthOverride:        aws.Int32(1),
				GitSubmodulesConfigOverride:  submodules,
				EnvironmentVariablesOverride: env("TAG", "app:1", "GIT_CHECKSUM", "1a2b3c4d"),
			},
		},
		{
			"everything",
			Request{
				Source: gitSource("github.com/org/repo#:api"), Tags: []string{"app:1", "team/x:2"}, Dockerfile: "../Dockerfile",
				Target: "final", BuildArgs: map[string]string{"A": "1 2"}, Labels: map[string]string{"l": "v"}, Platforms: []string{"linux/aarch64"},
				Secrets:    map[string]string{"npm": "team/npm", "key": "/team/key"},
				Provenance: buildspec.ProvenanceMax, SBOM: true,
				Cache: buildspec.CacheNone, Pull: true, NoCache: true,
				Size: XXLarge, Timeout: 10*time.Minute + time.Second, QueueTimeout: time.Hour,
			},
			&codebuild.StartBuildInput{
				EnvironmentTypeOverride:        types.EnvironmentTypeArmContainer,
				ImageOverride:                  aws.String("arm:1"),
				SourceTypeOverride:             types.SourceTypeGithub,
				SourceLocationOverride:         aws.String("https://github.com/org/repo"),
				GitCloneDepthOverride:          aws.Int32(1),
				GitSubmodulesConfigOverride:    submodules,
				ComputeTypeOverride:            "BUILD_GENERAL1_2XLARGE",
				TimeoutInMinutesOverride:       aws.Int32(11),
				QueuedTimeoutInMinutesOverride: aws.Int32(60),
				EnvironmentVariablesOverride: append(env("TAG", "app:1 team/x:2", "CONTEXT", "api", "DOCKERFILE", "../Dockerfile", "TARGET", "final",
					"BUILD_ARGS", "A=1+2", "LABELS", "l=v", "PLATFORMS", "linux/arm64", "CACHE", "none", "SECRETS", "key npm", "PULL", "on", "NO_CACHE", "on",
					"PROVENANCE", "max", "SBOM", "on"),
					types.EnvironmentVariable{Name: aws.String("SECRET_key"), Value: aws.String("/team/key"), Type: types.EnvironmentVariableTypeParameterStore},
					types.EnvironmentVariable{Name: aws.String("SECRET_npm"), Value: aws.String("team/npm"), Type: types.EnvironmentVariableTypeSecretsManager}),
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			stack := testStack(t)
			request, source, err := test.request.prepare(stack)
			if err != nil {
				t.Fatal(err)
			}
			test.want.ProjectName, test.want.IdempotencyToken = aws.String("flexbuild"), aws.String("token")
			request.IdempotencyToken = "token"
			test.want.EnvironmentVariablesOverride = withRequestID(test.want.EnvironmentVariablesOverride)
			got := startInput(stack, request, source)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(codebuild.StartBuildInput{}, types.EnvironmentVariable{}, types.GitSubmodulesConfig{})); diff != "" {
				t.Errorf("StartBuildInput (-want +got):\n%s", diff)
			}
		})
	}
}

// withRequestID adds the variable that every build has, before those of
// secrets.
func withRequestID(variables []types.EnvironmentVariable) []types.EnvironmentVariable {
	at := slices.IndexFunc(variables, func(v types.EnvironmentVariable) bool { return strings.HasPrefix(*v.Name, "SECRET_") })
	if at < 0 {
		at = len(variables)
	}
	return slices.Insert(slices.Clone(variables), at, env("REQUEST_ID", "token")...)
}

func TestBadRequestsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	good := Request{Source: Dir(dir), Tags: []string{"app:1"}}
	for name, test := range map[string]struct {
		change func(*Request)
		want   error
		text   string
	}{
		"no source":                {func(r *Request) { r.Source = nil }, ErrInvalidRequest, "no source"},
		"no tag":                   {func(r *Request) { r.Tags = nil }, ErrInvalidRequest, "no tag given"},
		"another registry":         {func(r *Request) { r.Tags = []string{"host:5000/app:1"} }, ErrRepositoryNotAllowed, `"host:5000/app:1" names the registry host:5000: builds of the stack "flexbuild" push to 000000000000.dkr.ecr`},
		"one at docker.io":         {func(r *Request) { r.Tags = []string{"app", "docker.io/app:1"} }, ErrRepositoryNotAllowed, "docker.io"},
		"a registry twice":         {func(r *Request) { reg := testOutputs["Registry"]; r.Tags = []string{reg + "/" + reg + "/app"} }, ErrRepositoryNotAllowed, "names the registry"},
		"a registry of that kind":  {func(r *Request) { r.Tags = []string{"1" + testOutputs["Registry"] + "/app"} }, ErrRepositoryNotAllowed, "names the registry 1000000000000.dkr"},
		"another repository":       {func(r *Request) { r.Tags = []string{"app", "other:1"} }, ErrRepositoryNotAllowed, "app, web, team.example/app, team/*"},
		"the prefix alone":         {func(r *Request) { r.Tags = []string{"team"} }, ErrRepositoryNotAllowed, `"team"`},
		"a directory not there":    {func(r *Request) { r.Source = Dir(dir + "/x") }, ErrInvalidRequest, "does not exist"},
		"an empty directory name":  {func(r *Request) { r.Source = Dir("") }, ErrInvalidRequest, "has no name"},
		"a missing Dockerfile":     {func(r *Request) { r.Dockerfile = "x" }, ErrInvalidRequest, `no file "x"`},
		"a ref that is an option":  {func(r *Request) { r.Source = gitSource("github.com/a/b#--upload-pack=x") }, ErrInvalidRequest, "--upload-pack"},
		"a value that is too long": {func(r *Request) { r.BuildArgs = map[string]string{"A": strings.Repeat("x", 4096)} }, ErrInvalidRequest, "4098 characters"},
		"the cache's repository":   {func(r *Request) { r.Tags = []string{"app", "flexbuild-cache:app"} }, ErrRepositoryNotAllowed, `"flexbuild-cache:app" names the repository of the stack's build caches`},
		"the cache's, in full":     {func(r *Request) { r.Tags = []string{testOutputs["Registry"] + "/flexbuild-cache"} }, ErrRepositoryNotAllowed, "build caches"},
		"a long token":             {func(r *Request) { r.IdempotencyToken = strings.Repeat("x", 65) }, ErrInvalidRequest, "idempotency token of 65 characters: it may have at most 64"},
		"a Dockerfile's URL":       {func(r *Request) { r.Dockerfile = "https://host.example/Dockerfile" }, ErrInvalidRequest, `Dockerfile "https://host.example/Dockerfile": a Dockerfile is read from the source`},
		"a provenance":             {func(r *Request) { r.Provenance = "some" }, ErrInvalidRequest, "use off, min or max"},
		"an operating system":      {func(r *Request) { r.Platforms = []string{"linux"} }, ErrInvalidRequest, `PLATFORMS: "linux"`},
		"no platform":              {func(r *Request) { r.Platforms = []string{"vax"} }, ErrInvalidRequest, `PLATFORMS: "vax"`},
		"a token for a secret":     {func(r *Request) { r.Secrets = map[string]string{"npm": "npm_" + strings.Repeat("A1b2", 9)} }, ErrInvalidRequest, `"npm": that looks like the token itself`},
		"a token for a git token": {func(r *Request) {
			r.Source = Git{URL: "https://git.example/r.git", Token: "glpat-" + strings.Repeat("A1b2", 5)}
		}, ErrInvalidRequest, "GIT_TOKEN: that looks like the token itself"},
		"a short checksum":     {func(r *Request) { r.Source = Git{URL: "https://git.example/r.git", Checksum: "abc"} }, ErrInvalidRequest, `GIT_CHECKSUM: "abc"`},
		"an unknown size":      {func(r *Request) { r.Size = "huge" }, ErrInvalidRequest, "[small medium large xlarge 2xlarge]"},
		"a short timeout":      {func(r *Request) { r.Timeout = time.Minute }, ErrInvalidRequest, "between 5m0s and 36h0m0s"},
		"a long queue timeout": {func(r *Request) { r.QueueTimeout = 9 * time.Hour }, ErrInvalidRequest, "between 5m0s and 8h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			test.change(&r)
			_, source, err := r.prepare(testStack(t))
			source.close()
			if err != nil && strings.Contains(err.Error(), "A1b2") {
				t.Errorf("the error contains the token: %v", err)
			}
			if !errors.Is(err, test.want) || !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("err = %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
}

func TestPlatformsAreTakenAsDockerTakesThem(t *testing.T) {
	for given, want := range map[string]string{
		"linux/amd64": "linux/amd64", "linux/x86_64": "linux/amd64", "linux/x86-64": "linux/amd64", "amd64": "linux/amd64", "x86_64": "linux/amd64", "Linux/AMD64": "linux/amd64", "linux/amd64/v1": "linux/amd64",
		"linux/amd64/v3": "linux/amd64/v3", "linux/arm64": "linux/arm64", "linux/aarch64": "linux/arm64", "arm64": "linux/arm64", "aarch64": "linux/arm64", "linux/arm64/v8": "linux/arm64", "linux/arm64/v9": "linux/arm64/v9",
		"linux/arm": "linux/arm/v7", "armhf": "linux/arm/v7", "linux/arm/v6": "linux/arm/v6", "linux/arm/6": "linux/arm/v6", "linux/i386": "linux/386", "riscv64": "linux/riscv64", "windows/amd64": "windows/amd64",
	} {
		if got := normalizePlatform(given); got != want {
			t.Errorf("%s is taken for %s, want %s", given, got, want)
		}
	}
	for _, platform := range []string{"arm64", "linux/aarch64", "linux/arm64/v8", "linux/x86_64"} {
		r := Request{Source: gitSource("github.com/a/b"), Tags: []string{"app"}, Platforms: []string{platform}}
		request, source, err := r.prepare(testStack(t))
		if err != nil {
			t.Fatal(err)
		}
		in := startInput(testStack(t), request, source)
		if arm := in.EnvironmentTypeOverride == types.EnvironmentTypeArmContainer; arm != !strings.Contains(platform, "x86") || arm != (in.ImageOverride != nil) {
			t.Errorf("%s is built on %q in %q", platform, in.EnvironmentTypeOverride, aws.ToString(in.ImageOverride))
		}
	}
}

func TestStackOutputs(t *testing.T) {
	stack := testStack(t)
	if diff := cmp.Diff([]string{"app", "web", "team.example/app"}, stack.RepositoryNames); diff != "" {
		t.Error(diff)
	}
	for name, test := range map[string]struct {
		key, value, want string
	}{
		"another version":  {"ContractVersion", "99", "version 99 of the contract, this program needs version " + buildspec.Version},
		"no version":       {"ContractVersion", "", "no output ContractVersion"},
		"no project":       {"ProjectName", "", "no output ProjectName"},
		"no source bucket": {"SourceBucketName", "", "no output SourceBucketName"},
	} {
		outputs := map[string]string{}
		for k, v := range testOutputs {
			outputs[k] = v
		}
		outputs[test.key] = test.value
		if _, err := parseStack("flexbuild", outputs); !errors.Is(err, ErrIncompatibleStack) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
