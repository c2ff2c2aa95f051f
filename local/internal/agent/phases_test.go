package agent

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
)

const (
	toSource  = "SUBMITTED:SUCCEEDED QUEUED:SUCCEEDED PROVISIONING:SUCCEEDED DOWNLOAD_SOURCE:SUCCEEDED "
	toInstall = toSource + "INSTALL:SUCCEEDED "
	toPre     = toInstall + "PRE_BUILD:SUCCEEDED "
	fromPost  = "POST_BUILD:SUCCEEDED UPLOAD_ARTIFACTS:SUCCEEDED FINALIZING:SUCCEEDED COMPLETED:"
	ending    = "FINALIZING:SUCCEEDED COMPLETED:"
)

func TestPhasesAfterAFailure(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ phases, want string }{
		"none":                   {"build: {commands: [true]}", toPre + "BUILD:SUCCEEDED " + fromPost},
		"INSTALL":                {"install: {commands: [false]}", toSource + "INSTALL:FAILED " + ending},
		"PRE_BUILD":              {"pre_build: {commands: [false]}", toInstall + "PRE_BUILD:FAILED " + ending},
		"BUILD":                  {"build: {commands: [false]}", toPre + "BUILD:FAILED " + fromPost},
		"POST_BUILD":             {"post_build: {commands: [false]}", toPre + "BUILD:SUCCEEDED " + strings.Replace(fromPost, "SUCCEEDED", "FAILED", 1)},
		"INSTALL, going on":      {"install: {commands: [false], on-failure: CONTINUE}", toSource + "INSTALL:FAILED PRE_BUILD:SUCCEEDED BUILD:SUCCEEDED " + fromPost},
		"BUILD, aborting":        {"build: {commands: [false], on-failure: ABORT}", toPre + "BUILD:FAILED " + ending},
		"POST_BUILD, aborting":   {"post_build: {commands: [false], on-failure: ABORT}", toPre + "BUILD:SUCCEEDED POST_BUILD:FAILED " + ending},
		"the finally of INSTALL": {"install: {commands: [true], finally: [false]}", toSource + "INSTALL:FAILED " + ending},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.run(t, buildspec("version: 0.2\nphases:\n  "+c.phases))
			if r.phases() != c.want {
				t.Errorf("phases:\n%s\nwant:\n%s\nlog:\n%s", r.phases(), c.want, r.log)
			}
			if failed := strings.Contains(c.want, "FAILED"); failed != (r.BuildStatus == types.StatusTypeFailed) {
				t.Errorf("build is %s", r.BuildStatus)
			}
			if want := "COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1"; r.BuildStatus == types.StatusTypeFailed && r.context() != want {
				t.Errorf("context = %s", r.context())
			}
		})
	}
}

func TestTheLogIsLikeCodeBuilds(t *testing.T) {
	b := newBench(t)
	r := b.run(t, buildspec(`version: 0.2
phases:
  pre_build:
    commands:
      - printf 'no end'
  build:
    commands:
      - |
        echo one
        echo two
      - exit 7
      - echo never
    finally:
      - echo "succeeding=$CODEBUILD_BUILD_SUCCEEDING"
  post_build:
    commands:
      - echo "succeeding=$CODEBUILD_BUILD_SUCCEEDING"
`))
	dir := strings.TrimSpace(stamp.Split(strings.SplitN(r.log, "CODEBUILD_SRC_DIR=", 2)[1], 2)[0])
	want := `[Container] Running on the flexbuild local engine
[Container] Waiting for agent ping
[Container] Waiting for DOWNLOAD_SOURCE
[Container] Phase is DOWNLOAD_SOURCE
[Container] CODEBUILD_SRC_DIR=SRC
[Container] YAML location is /codebuild/readonly/buildspec.yml
[Container] Processing environment variables
[Container] No runtime version selected in buildspec.
[Container] Moving to directory SRC
[Container] Cache is not defined in the buildspec
[Container] Skip cache due to: no paths specified to be cached
[Container] Registering with agent
[Container] Phases found in YAML: 3
[Container]  PRE_BUILD: 1 commands
[Container]  BUILD: 3 commands
[Container]  POST_BUILD: 1 commands
[Container] Phase complete: DOWNLOAD_SOURCE State: SUCCEEDED
[Container] Phase context status code:  Message: ` + `
[Container] Entering phase INSTALL
[Container] Phase complete: INSTALL State: SUCCEEDED
[Container] Phase context status code:  Message: ` + `
[Container] Entering phase PRE_BUILD
[Container] Running command printf 'no end'
no end

[Container] Phase complete: PRE_BUILD State: SUCCEEDED
[Container] Phase context status code:  Message: ` + `
[Container] Entering phase BUILD
[Container] Running command echo one
echo two

one
two

[Container] Running command exit 7

[Container] Command did not exit successfully exit 7 exit status 7
[Container] Running command echo "succeeding=$CODEBUILD_BUILD_SUCCEEDING"
succeeding=0

[Container] Phase complete: BUILD State: FAILED
[Container] Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: exit 7. Reason: exit status 7
[Container] Entering phase POST_BUILD
[Container] Running command echo "succeeding=$CODEBUILD_BUILD_SUCCEEDING"
succeeding=0

[Container] Phase complete: POST_BUILD State: SUCCEEDED
[Container] Phase context status code:  Message: ` + `
[Container] Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED
[Container] Phase context status code:  Message: ` + `
`
	if diff := cmp.Diff(want, strings.ReplaceAll(r.plain(), dir, "SRC")); diff != "" {
		t.Error(diff)
	}
}

func TestProvisioningNeedsTheRolesPermissions(t *testing.T) {
	for name, c := range map[string]struct{ trust, policy, want string }{
		"the role trusts somebody else": {strings.Replace(trust, "codebuild", "ec2", 1), allowAll, "ACCESS_DENIED: CodeBuild is not authorized to perform: sts:AssumeRole on arn:aws:iam::000000000000:role/builder"},
		"the role may only open a log":  {trust, strings.Replace(allowAll, `"*"`, `"logs:Create*"`, 1), "ACCESS_DENIED: Service role arn:aws:iam::000000000000:role/builder does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build arn:aws:codebuild:us-east-1:000000000000:build/demo:"},
		"the role may not log":          {trust, strings.Replace(allowAll, `"*"`, `"s3:*"`, 1), "ACCESS_DENIED: Service role arn:aws:iam::000000000000:role/builder does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for build arn:aws:codebuild:us-east-1:000000000000:build/demo:"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.role(t, c.trust, c.policy)
			r := b.run(t, buildspec("version: 0.2\nphases: {}"))
			r.want(t, types.StatusTypeFailed)
			if !strings.HasPrefix(r.context(), c.want) || !strings.HasSuffix(r.phases(), "PROVISIONING:FAILED COMPLETED:") {
				t.Errorf("phases %s, context %s", r.phases(), r.context())
			}
		})
	}
}

func TestALogGroupThatIsNotThereIsCreated(t *testing.T) {
	b := newBench(t)
	r := b.run(t, buildspec("version: 0.2\nphases: {build: {commands: [echo hello]}}"), func(in *sdk.StartBuildInput) {
		group := "new"
		in.LogsConfigOverride = &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled, GroupName: &group}}
	})
	r.want(t, types.StatusTypeSucceeded, "\nhello\n")
}

func TestABuildWithoutLogs(t *testing.T) {
	b := newBench(t)
	r := b.run(t, buildspec("version: 0.2\nphases: {build: {commands: [echo hello]}}"), func(in *sdk.StartBuildInput) {
		in.LogsConfigOverride = &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeDisabled}}
	})
	if r.want(t, types.StatusTypeSucceeded); r.Logs.GroupName != nil {
		t.Errorf("logs = %+v", r.Logs)
	}
}

func TestRuntimeVersionsAreNotInstalledAndTheLogSaysSo(t *testing.T) {
	r := newBench(t).run(t, buildspec("version: 0.2\nphases: {install: {runtime-versions: {golang: 1.x, nodejs: 22}}, build: {commands: [echo hello]}}"))
	r.want(t, types.StatusTypeSucceeded, "[Container] The local engine does not install golang 1.x: the build uses what this machine has\n", "install nodejs 22:", "\nhello\n")
	if strings.Contains(r.log, "No runtime version selected") {
		t.Errorf("the log:\n%s", r.log)
	}
}

// A machine of another architecture than AWS's runs builds natively, and the
// log begins with that.
func TestAnotherArchitectureIsSaid(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Arch = "arm64" })
	b.run(t).want(t, types.StatusTypeSucceeded, "[Container] Running on the flexbuild local engine, which is arm64: on AWS the project's LINUX_CONTAINER is amd64. ")
	arm := func(in *sdk.StartBuildInput) { in.EnvironmentTypeOverride = types.EnvironmentTypeArmContainer }
	b.run(t, arm).want(t, types.StatusTypeSucceeded, "[Container] Running on the flexbuild local engine\n")
}
