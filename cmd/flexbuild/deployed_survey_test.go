package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild/runner"
)

// A survey is a build that runs a script of testdata/survey in place of the
// project's buildspec. The script prints facts, "[survey] NAME: VALUE".
type survey struct {
	build types.Build
	facts map[string]string
}

// exported are the variables that buildspecs of surveys export.
var exported = []string{"EARLY", "LATE"}

// survey runs the commands as a build and logs the facts that they print.
func (d deployed) survey(t *testing.T, in codebuild.StartBuildInput, commands ...string) survey {
	t.Helper()
	in.BuildspecOverride = aws.String(surveyBuildspec(t, commands))
	build := d.startWith(t, in)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	s := survey{facts: map[string]string{}}
	for line, err := range build.Logs(ctx, runner.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if fact, ok := strings.CutPrefix(line.Raw, "[survey] "); ok {
			name, value, _ := strings.Cut(fact, ": ")
			s.facts[name] = value
		}
	}
	s.build = d.describe(t, build.ID())
	for _, name := range slices.Sorted(maps.Keys(s.facts)) {
		t.Logf("%s: %s", name, s.facts[name])
	}
	return s
}

// surveyBuildspec has the commands in its BUILD phase, and ends the log as
// flexbuild's own does, so that it can be read to its end.
func surveyBuildspec(t *testing.T, commands []string) string {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{
		"version": 0.2,
		"env":     map[string]any{"shell": "bash", "exported-variables": exported},
		"phases": map[string]any{
			"build":      map[string]any{"commands": commands},
			"post_build": map[string]any{"commands": []string{`printf '[flexbuild %s] end\n' "$CODEBUILD_BUILD_ID"`}},
		},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func surveyScript(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/survey/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startWith sends the API's own call, of a build without a source if it names
// none.
func (d deployed) startWith(t *testing.T, in codebuild.StartBuildInput) *runner.Build {
	t.Helper()
	in.ProjectName = aws.String(d.client.Stack().ProjectName)
	in.SourceTypeOverride = cmp.Or(in.SourceTypeOverride, types.SourceTypeNoSource)
	out, err := codebuild.NewFromConfig(d.cfg).StartBuild(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	return d.client.Build(*out.Build.Id)
}

func (d deployed) describe(t *testing.T, id string) types.Build {
	t.Helper()
	out, err := codebuild.NewFromConfig(d.cfg).BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Builds) != 1 {
		t.Fatalf("no build %s", id)
	}
	return out.Builds[0]
}

// afterwards removes what a test made on the account.
func afterwards(t *testing.T, remove func(context.Context)) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		remove(ctx)
	})
}

func plain(variables map[string]string) (list []types.EnvironmentVariable) {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, types.EnvironmentVariable{Name: aws.String(name), Value: aws.String(variables[name])})
	}
	return list
}

// machineFacts are what code here takes for granted of a build's machine.
var machineFacts = []struct {
	fact    string
	want    string // a regular expression
	needs   string // the file and the function that depend on it
	onlyAWS bool   // the local engine runs builds on the machine that it is on
}{
	{"user", `^0$`, "build.sh unpack: owners, and files of modes that only root may read", true},
	{"umask", `^0022$`, "local/internal/agent/command.go withUmask: modes of files that CodeBuild clones", false},
	{"bash", `^[5-9]\.`, "build.sh: associative arrays, exec {name}<", false},
	{"HOME", `^/`, "build.sh work", false},
	{"CODEBUILD_BUILD_ARN", `^arn:[a-z-]+:codebuild:[a-z0-9-]+:[0-9]{12}:build/`, "build.sh read_settings: region and account", false},
	{"CODEBUILD_BUILD_ID", `^[^:]+:[0-9a-f-]{36}$`, "buildspec/log.go: the marker of lines", false},
	{"CODEBUILD_SRC_DIR", `^/`, "build.sh fetch_source", false},
	{"role credentials", `^from 169\.254\.170\.2$`, "build.sh guard_credentials", true},
	{"version of tar", `GNU tar`, "build.sh unpack: special bits and times of the archive", false},
	{"version of gzip", `gzip`, "build.sh unpack", false},
	{"version of sha256sum", `coreutils`, "build.sh unpack, name_cache", false},
	{"version of timeout", `coreutils`, "build.sh: the time limit of every remote call", false},
	{"version of git", `version (2\.(3[1-9]|[4-9][0-9])|[3-9])`, "build.sh clone: GIT_CONFIG_COUNT, SHA-256 repositories", false},
	{"version of aws", `^aws-cli/2`, "build.sh log_in, keep_cache", true},
	{"version of buildx", `v?0\.(1[4-9]|[2-9][0-9])\.`, "build.sh build_and_push: BUILDX_METADATA_PROVENANCE", true},
	{"version of docker", `^(2[3-9]|[3-9][0-9])\.`, "build.sh mirror_for_daemon", true},
	{"docker info", `storage overlay2`, "build.sh start_machines_buildkit, choose_cache: a daemon of another store can export a cache", true},
	{"buildkitd", `^/usr/`, "build.sh start_machines_buildkit", true},
	{"version of buildkitd", `v?0\.(2[4-9]|[3-9][0-9])`, "build.sh start_machines_buildkit", true},
	{"files of the machine", `^usable$`, "build.sh start_machines_buildkit: a container of links to /usr", true},
	{"file system of Docker", ` is (xfs|ext2/ext3|ext4), `, "build.sh start_machines_buildkit: on an overlay BuildKit would copy layers", true},
	{"entrypoint of Docker", `^/usr/local/bin/dockerd-entrypoint\.sh$`, "build.sh on_codebuild", true},
	{"DOCKER_HOST", `^(unset|unix://.*)$`, "build.sh on_codebuild", true},
	{"BUILDKIT_HOST", `^unset$`, "build.sh choose_builder", true},
	{"BUILDX_BUILDER", `^(unset|default)$`, "build.sh choose_builder; infra/project.go variables", true},
	{"hosts.toml of docker.io", `^none$`, "build.sh mirror_for_daemon: it leaves another's file as it is", true},
	{"chain DOCKER-USER", `^Chain DOCKER-USER`, "build.sh guard_credentials", true},
}

// programs are those that build.sh calls.
const programs = "aws awk bash cat cp cut date docker git grep gzip iptables ls mkdir readlink rm sha256sum sleep tail tar tee timeout uname"

// describesItsMachine asks the machine of builds what it is like.
func describesItsMachine(t *testing.T, d deployed) {
	s := d.survey(t, codebuild.StartBuildInput{EnvironmentVariablesOverride: plain(map[string]string{"PROGRAMS": programs})}, surveyScript(t, "machine.sh"))
	if s.build.BuildStatus != types.StatusTypeSucceeded {
		t.Fatalf("the survey's build is %s", s.build.BuildStatus)
	}
	for program := range strings.FieldsSeq(programs) {
		if got := s.facts["program "+program]; got == "missing" || got == "" {
			t.Errorf("the machine has no %s, which build.sh calls", program)
		}
	}
	for _, check := range machineFacts {
		got := s.facts[check.fact]
		switch ok := regexp.MustCompile(check.want).MatchString(got); {
		case check.onlyAWS && !d.onAWS:
			t.Logf("the engine cannot answer for CodeBuild's machine: %s", check.fact)
		case !ok:
			t.Errorf("%s is %q, want %s: %s depends on it", check.fact, got, check.want, check.needs)
		}
	}
	d.checkInitiator(t, s)
	d.checkNoSource(t, s)
}

// checkInitiator holds CODEBUILD_INITIATOR against whom AWS takes the caller
// for: build.sh name_cache keeps a cache for each role, and for each user.
func (d deployed) checkInitiator(t *testing.T, s survey) {
	t.Helper()
	caller, err := sts.NewFromConfig(d.cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	arn := aws.ToString(caller.Arn)
	want := arn[strings.LastIndex(arn, ":")+1:]
	for _, kind := range []string{"assumed-role/", "user/"} {
		want = strings.TrimPrefix(want, kind)
	}
	got := s.facts["CODEBUILD_INITIATOR"]
	t.Logf("a build that %s started has the initiator %q", kindOf(arn), got)
	if got != want {
		t.Errorf("CODEBUILD_INITIATOR is %q, want %q: build.sh name_cache depends on it", got, want)
	}
	if inAPI := aws.ToString(s.build.Initiator); inAPI != got {
		t.Errorf("the API says the initiator is %q, the build that it is %q", inAPI, got)
	}
}

// kindOf returns the kind of a principal: root, user or assumed-role.
func kindOf(arn string) string {
	resource := arn[strings.LastIndex(arn, ":")+1:]
	kind, _, _ := strings.Cut(resource, "/")
	return kind
}

// checkNoSource: build.sh fetch_source takes a build whose URL is that of a
// repository for one of that repository.
func (d deployed) checkNoSource(t *testing.T, s survey) {
	t.Helper()
	url := s.facts["CODEBUILD_SOURCE_REPO_URL"]
	if strings.HasPrefix(url, "http") {
		t.Logf("a build without a source has the project's own: build.sh fetch_source must know the placeholder")
	}
	if own := aws.ToString(s.build.Source.Location); url != own && url != "unset" && url != "" {
		t.Errorf("CODEBUILD_SOURCE_REPO_URL of a build without a source is %q, its location %q", url, own)
	}
}

// failsAfterAnExport asks what a failed build says: runner/info.go reads the
// exit status from the phase, and takes exported variables of succeeded builds
// only.
func failsAfterAnExport(t *testing.T, d deployed) {
	s := d.survey(t, codebuild.StartBuildInput{}, "EARLY=1", "exit 66", "LATE=1")
	if s.build.BuildStatus != types.StatusTypeFailed {
		t.Errorf("a build with exit status 66 is %s", s.build.BuildStatus)
	}
	got := map[string]string{}
	for _, variable := range s.build.ExportedEnvironmentVariables {
		got[*variable.Name] = *variable.Value
	}
	t.Logf("a failed build exports %q of EARLY, which was set, and LATE, which was not", got)
	if got["LATE"] != "" {
		t.Errorf("a command after the failed one has run: LATE is %q", got["LATE"])
	}
	_, err := d.client.Build(*s.build.Id).Wait(t.Context())
	var failed *runner.BuildError
	if !errors.As(err, &failed) || failed.Phase != "BUILD" || !strings.Contains(failed.Error(), "source") {
		t.Errorf("the failed build's error is %v, want one of the phase BUILD that says what exit status 66 means", err)
	}
}
