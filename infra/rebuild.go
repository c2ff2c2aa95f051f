package infra

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// RebuildRequest describes the build that a schedule starts, the same each
// time.
type RebuildRequest struct {
	// Params are the parameters of the build. Tags and GitURL are required.
	// CodeBuild downloads the repository with its credentials for the host, if
	// it knows the host and there is no GitToken. Otherwise the build clones
	// it. The stack sets Registry and CacheRepository. Uploads are refused
	// because they expire, and a RequestID because it names one build.
	buildspec.Params

	// ComputeType is the size of the machine. Default: the project's.
	ComputeType awscodebuild.ComputeType

	// Timeout ends the build when it runs longer, 5 minutes to 36 hours.
	// Default: the project's.
	Timeout awscdk.Duration
}

// RebuildOn does not use the CDK's target for CodeBuild: its role could start
// builds with every override, and AWS does not document its input.
func (b *imageBuilder) RebuildOn(id *string, schedule awsscheduler.ScheduleExpression, request *RebuildRequest) awsscheduler.CfnSchedule {
	must(b.validateRebuild(schedule, request))
	call := b.startCall(request)
	role := b.newSchedulerRole(*id+"Role", call)
	// EventBridge Scheduler may start a build twice. With the same token within
	// five minutes, CodeBuild returns the existing build.
	call["IdempotencyToken"] = *role.Node().Addr() + "-" + *awsscheduler.ContextAttribute_ScheduledTime()
	rebuild := awsscheduler.NewCfnSchedule(b, id, &awsscheduler.CfnScheduleProps{
		Description:        jsii.String("Builds " + request.Tags[0] + " again"),
		ScheduleExpression: schedule.ExpressionString(),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     awscdk.Fn_Join(jsii.String(":"), &[]*string{jsii.String("arn"), awscdk.Aws_PARTITION(), jsii.String("scheduler:::aws-sdk:codebuild:startBuild")}),
			RoleArn: role.RoleArn(),
			Input:   awscdk.Stack_Of(b).ToJsonString(call, nil),
			// A build at the next time is better than one that is hours late.
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(3600)},
		},
	})
	if zone := schedule.TimeZone(); zone != nil {
		rebuild.SetScheduleExpressionTimezone(zone.TimezoneName())
	}
	return rebuild
}

// startCall returns the input of StartBuild in the form of EventBridge
// Scheduler, whose members begin with a capital letter. The source's settings
// are those that package runner sends.
func (b *imageBuilder) startCall(request *RebuildRequest) map[string]any {
	params := request.Params
	call := map[string]any{"ProjectName": b.project.ProjectName(), "SourceTypeOverride": noSource}
	if kind := buildspec.GitSourceType(hostOf(params.GitURL)); kind != "" && params.GitToken == "" {
		call["SourceTypeOverride"] = kind
		call["SourceLocationOverride"] = params.GitURL
		call["GitCloneDepthOverride"] = 1
		call["GitSubmodulesConfigOverride"] = map[string]any{"FetchSubmodules": true}
		if ref := shortRef(params.GitRef); ref != "" {
			call["SourceVersion"] = ref
		}
		params.GitURL, params.GitRef = "", ""
	}
	if request.ComputeType != "" {
		call["ComputeTypeOverride"] = computeTypeNames[slices.Index(computeTypes, request.ComputeType)]
	}
	if request.Timeout != nil {
		call["TimeoutInMinutesOverride"] = minutes.in(request.Timeout)
	}
	if b.isForARM(request) {
		call["EnvironmentTypeOverride"], call["ImageOverride"] = "ARM_CONTAINER", *b.props.ArmImage
	}
	var variables []any
	for _, v := range params.Environment() {
		variables = append(variables, map[string]any{"Name": v.Name, "Value": v.Value, "Type": string(v.Type)})
	}
	call["EnvironmentVariablesOverride"] = variables
	return call
}

func (b *imageBuilder) isForARM(request *RebuildRequest) bool {
	return or(b.props.ArmImage, "") != "" && slices.Equal(request.Platforms, []string{"linux/arm64"})
}

func hostOf(location string) string {
	parsed, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return strings.ToLower(parsed.Host)
}

// shortRef returns a branch, a tag or a commit in the form that CodeBuild
// accepts.
func shortRef(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}

// newSchedulerRole adds a role that can make this call only. Whoever may change
// the schedule cannot use it to get the builds' role.
func (b *imageBuilder) newSchedulerRole(id string, call map[string]any) awsiam.IRole {
	group := b.arn("scheduler", "schedule-group", "default")
	start := allow([]*string{b.project.ProjectArn()}, "codebuild:StartBuild")
	conditions := map[string]map[string]any{}
	for _, key := range deniedKeys {
		operator, value := "Null", "true"
		if allowed := b.allowedOverride(key); allowed != "" && call["ImageOverride"] != nil {
			operator, value = "StringEquals", allowed
		}
		if conditions[operator] == nil {
			conditions[operator] = map[string]any{}
		}
		conditions[operator][key] = value
	}
	var names []string
	for _, variable := range call["EnvironmentVariablesOverride"].([]any) {
		names = append(names, variable.(map[string]any)["Name"].(string))
	}
	conditions["ForAllValues:StringEquals"] = map[string]any{"codebuild:environment.environmentVariables.name": names}
	for _, operator := range slices.Sorted(maps.Keys(conditions)) {
		start.AddCondition(&operator, conditions[operator])
	}
	return awsiam.NewRole(b, &id, &awsiam.RoleProps{
		Description: jsii.String("Starts scheduled builds of " + *b.ToString()),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID(), "aws:SourceArn": group},
			},
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"StartBuild": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{start}}),
		},
		PermissionsBoundary: b.props.PermissionsBoundary,
	})
}

func (b *imageBuilder) validateRebuild(schedule awsscheduler.ScheduleExpression, request *RebuildRequest) error {
	if schedule == nil || request == nil {
		return problem("RebuildOn", "no schedule or no request: give both")
	}
	errs := []error{
		request.Validate(),
		checkEnum("ComputeType", request.ComputeType, computeTypes...),
		checkDuration("Timeout", request.Timeout, minutes, 5, 2160),
	}
	for _, given := range []struct{ name, value string }{
		{"Registry", request.Registry}, {"CacheRepository", request.CacheRepository},
		{"SourceSHA256", request.SourceSHA256}, {"RequestID", request.RequestID},
	} {
		if given.value != "" {
			errs = append(errs, problem(given.name, "%q: a scheduled build has none of its own: remove it", given.value))
		}
	}
	if request.GitURL == "" {
		errs = append(errs, problem("GitURL", "missing: name the git repository to build"))
	}
	for _, tag := range request.Tags {
		errs = append(errs, b.checkPushable(request, tag))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("RebuildOn: %w", err)
	}
	return nil
}

// checkPushable returns an error for a repository to which builds may not push,
// if all repositories are known and in the builder's own registry.
func (b *imageBuilder) checkPushable(request *RebuildRequest, tag string) error {
	name, _, _ := strings.Cut(tag, ":")
	prefix := *b.props.RepositoryPrefix
	if cmp.Or(request.Region, request.Account) != "" || prefix != "" && strings.HasPrefix(name, prefix) {
		return nil
	}
	unknown := func(name string) bool { return strings.Contains(name, tokenMark) }
	if slices.Contains(b.names, name) || slices.ContainsFunc(b.names, unknown) || unknown(prefix) {
		return nil
	}
	return problem("Tags", "%q: builds push to %q and what begins with %q: name one of them, or allow the repository", tag, b.names, prefix)
}
