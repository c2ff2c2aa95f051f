package infra_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

const scheduleType = "AWS::Scheduler::Schedule"

func nightly() awsscheduler.ScheduleExpression {
	return awsscheduler.ScheduleExpression_Cron(&awsscheduler.CronOptionsWithTimezone{
		Hour: jsii.String("3"), Minute: jsii.String("0"), TimeZone: awscdk.TimeZone_EUROPE_BERLIN(),
	})
}

func rebuild() *infra.RebuildRequest {
	return &infra.RebuildRequest{Params: buildspec.Params{Tags: []string{"team/api:nightly"}, GitURL: "https://github.com/acme/api"}}
}

// scheduled returns the template of a builder that is rebuilt on a schedule.
func scheduled(t *testing.T, request *infra.RebuildRequest) template {
	t.Helper()
	return synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			ProjectName: jsii.String("images"), Repositories: jsii.Strings("team/api"),
		})
		builder.RebuildOn(jsii.String("Nightly"), nightly(), request)
	})
}

// call returns what the schedule sends, with the names of the SDK.
func call(t *testing.T, tpl template) map[string]any {
	t.Helper()
	input := []byte(text(tpl.the(t, scheduleType, "").at("Properties.Target.Input")))
	decoder := json.NewDecoder(strings.NewReader(string(input)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(new(codebuild.StartBuildInput)); err != nil {
		t.Fatalf("%s is no input of StartBuild: %v", input, err)
	}
	var sent map[string]any
	if err := json.Unmarshal(input, &sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestScheduleStartsTheBuild(t *testing.T) {
	tpl := scheduled(t, rebuild())
	check(t, tpl, []want{
		{scheduleType, "", "Properties.ScheduleExpression", `"cron(0 3 * * ? *)"`},
		{scheduleType, "", "Properties.ScheduleExpressionTimezone", `"Europe/Berlin"`},
		{scheduleType, "", "Properties.FlexibleTimeWindow", `{"Mode":"OFF"}`},
		{scheduleType, "", "Properties.Target.Arn", `"arn:${AWS::Partition}:scheduler:::aws-sdk:codebuild:startBuild"`},
		{scheduleType, "", "Properties.Target.RoleArn", `"${NightlyRole.Arn}"`},
		{scheduleType, "", "Properties.Target.RetryPolicy", `{"MaximumEventAgeInSeconds":3600}`},
	})
	sent := call(t, tpl)
	token := sent["IdempotencyToken"].(string)
	if !strings.HasSuffix(token, "-<aws.scheduler.scheduled-time>") || len(token)-len("<aws.scheduler.scheduled-time>")+len("2026-01-02T03:04:05Z") > 64 {
		t.Errorf("the token is %q", token)
	}
	delete(sent, "IdempotencyToken")
	want := map[string]any{
		"ProjectName":                 "${Project}",
		"SourceTypeOverride":          "GITHUB",
		"SourceLocationOverride":      "https://github.com/acme/api",
		"GitCloneDepthOverride":       1.0,
		"GitSubmodulesConfigOverride": map[string]any{"FetchSubmodules": true},
		"EnvironmentVariablesOverride": []any{
			map[string]any{"Name": "TAG", "Value": "team/api:nightly", "Type": "PLAINTEXT"},
		},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestScheduledBuildIsWhatTheRequestSays(t *testing.T) {
	request := rebuild()
	request.GitRef, request.Platforms, request.NoCache = "refs/heads/main", []string{"linux/arm64"}, true
	request.Secrets = map[string]string{"npm": "team/npm"}
	request.ComputeType, request.Timeout = awscodebuild.ComputeType_LARGE, awscdk.Duration_Hours(jsii.Number(2))
	sent := call(t, scheduled(t, request))
	for name, want := range map[string]any{
		"SourceVersion": "main", "ComputeTypeOverride": "BUILD_GENERAL1_LARGE", "TimeoutInMinutesOverride": 120.0,
		"EnvironmentTypeOverride": "ARM_CONTAINER", "ImageOverride": armImage,
	} {
		if sent[name] != want {
			t.Errorf("%s is %v, want %v", name, sent[name], want)
		}
	}
	const variables = `[{"Name":"TAG","Type":"PLAINTEXT","Value":"team/api:nightly"},{"Name":"PLATFORMS","Type":"PLAINTEXT","Value":"linux/arm64"},` +
		`{"Name":"SECRETS","Type":"PLAINTEXT","Value":"npm"},{"Name":"NO_CACHE","Type":"PLAINTEXT","Value":"on"},` +
		`{"Name":"SECRET_npm","Type":"SECRETS_MANAGER","Value":"team/npm"}]`
	if got := compact(sent["EnvironmentVariablesOverride"]); got != variables {
		t.Errorf("the variables are %s, want %s", got, variables)
	}
}

// The build clones what CodeBuild does not know, and what takes a token.
func TestScheduledBuildClonesFromOtherHosts(t *testing.T) {
	request := rebuild()
	request.GitURL, request.GitRef, request.GitToken = "https://git.example.com/api.git", "v1", "team/git"
	sent := call(t, scheduled(t, request))
	if sent["SourceTypeOverride"] != "NO_SOURCE" || sent["SourceLocationOverride"] != nil || sent["GitCloneDepthOverride"] != nil {
		t.Errorf("the source is %v", sent)
	}
	const variables = `[{"Name":"TAG","Type":"PLAINTEXT","Value":"team/api:nightly"},{"Name":"GIT_URL","Type":"PLAINTEXT","Value":"https://git.example.com/api.git"},` +
		`{"Name":"GIT_REF","Type":"PLAINTEXT","Value":"v1"},{"Name":"GIT_TOKEN","Type":"SECRETS_MANAGER","Value":"team/git"}]`
	if got := compact(sent["EnvironmentVariablesOverride"]); got != variables {
		t.Errorf("the variables are %s, want %s", got, variables)
	}
}

// Whoever can change the schedule can start builds, and cannot override what
// GrantStart denies.
func TestScheduleMayStartNothingElse(t *testing.T) {
	role := scheduled(t, rebuild()).the(t, "AWS::IAM::Role", "NightlyRole")
	for path, want := range map[string]string{
		"Principal.Service":                        "scheduler.amazonaws.com",
		"Condition.StringEquals.aws:SourceAccount": "${AWS::AccountId}",
		"Condition.StringEquals.aws:SourceArn":     "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default",
	} {
		if got := text(template(role.at("Properties.AssumeRolePolicyDocument.Statement.0").(map[string]any)).at(path)); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	statements := documentStatements(role.at("Properties.Policies.0.PolicyDocument"))
	if len(statements) != 1 || text(statements[0]["Action"]) != "codebuild:StartBuild" || text(statements[0]["Resource"]) != "${Project.Arn}" {
		t.Fatalf("the role may %s", compact(statements))
	}
	absent := statements[0].at("Condition.Null").(map[string]any)
	for _, o := range overrides {
		for _, key := range o.keys {
			if absent["codebuild:"+key] != "true" {
				t.Errorf("a schedule that overrides %s starts builds", key)
			}
		}
	}
	if got := compact(statements[0].at("Condition.ForAllValues:StringEquals")); got != `{"codebuild:environment.environmentVariables.name":["TAG"]}` {
		t.Errorf("variables: %s", got)
	}
}

func TestScheduleForARMMayNameItsImage(t *testing.T) {
	request := rebuild()
	request.Platforms = []string{"linux/arm64"}
	role := scheduled(t, request).the(t, "AWS::IAM::Role", "NightlyRole")
	got := compact(role.at("Properties.Policies.0.PolicyDocument.Statement.0.Condition.StringEquals"))
	if want := `{"codebuild:environment.image":"` + armImage + `","codebuild:environment.type":"ARM_CONTAINER"}`; got != want {
		t.Errorf("the condition is %s, want %s", got, want)
	}
}

func TestRebuildOnFindsWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*infra.RebuildRequest){
		"TAG":              func(r *infra.RebuildRequest) { r.Tags = nil },
		"GitURL: missing":  func(r *infra.RebuildRequest) { r.GitURL = "" },
		`Registry: "x.io"`: func(r *infra.RebuildRequest) { r.Registry = "x.io" },
		`RequestID: "one": a scheduled build has none of its own: remove it`: func(r *infra.RebuildRequest) { r.RequestID = "one" },
		`CacheRepository: "cc": a scheduled build has none of its own`:       func(r *infra.RebuildRequest) { r.CacheRepository = "cc" },
		"SourceSHA256: ":                                    func(r *infra.RebuildRequest) { r.GitURL, r.SourceSHA256 = "", strings.Repeat("a", 64) },
		`Tags: "team/web:1": builds push`:                   func(r *infra.RebuildRequest) { r.Tags = []string{"team/web:1"} },
		`ComputeType: "HUGE": use one of`:                   func(r *infra.RebuildRequest) { r.ComputeType = "HUGE" },
		`Timeout: 3 minutes: give whole minutes, 5 to 2160`: func(r *infra.RebuildRequest) { r.Timeout = minutes(3) },
	} {
		request := rebuild()
		change(request)
		if message := panicOf(func() { scheduled(t, request) }); !strings.HasPrefix(message, "RebuildOn: ") || !strings.Contains(message, want) {
			t.Errorf("panic: %q, want %q", message, want)
		}
	}
	if message := panicOf(func() { scheduled(t, nil) }); message != "RebuildOn: no schedule or no request: give both" {
		t.Errorf("panic: %q", message)
	}
}

// A request is not refused for values that the app knows only after the
// deployment.
func TestRebuildOnTakesWhatMayBePushedTo(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), deployed())
		for _, tag := range []string{"app", "flexbuild/any:1"} {
			request := rebuild()
			request.Tags = []string{tag}
			builder.RebuildOn(jsii.String("Of-"+strings.ReplaceAll(tag, "/", "-")), awsscheduler.ScheduleExpression_Rate(days(1)), request)
		}
		elsewhere := rebuild()
		elsewhere.Tags, elsewhere.Region = []string{"other:1"}, "eu-central-1"
		builder.RebuildOn(jsii.String("Elsewhere"), awsscheduler.ScheduleExpression_Rate(days(1)), elsewhere)
	})
}
