package infra_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/infra"
)

// granted returns the statements that grant gives to a role.
func granted(t *testing.T, grant func(infra.ImageBuilder, awsiam.IGrantable)) []template {
	t.Helper()
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), infra.DefaultProps())
		grant(builder, newCaller(stack))
	})
	return documentStatements(tpl.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument"))
}

// allowed returns the actions that statements allow, each with its resources.
func allowed(statements []template) map[string][]string {
	all := map[string][]string{}
	for _, statement := range statements {
		if statement["Effect"] == "Allow" {
			for _, action := range texts(statement["Action"]) {
				all[action] = append(all[action], texts(statement["Resource"])...)
			}
		}
	}
	return all
}

var (
	onProject = []string{"${Project.Arn}"}
	onLogs    = []string{"${LogGroup.Arn}"}
	onUploads = []string{"${SourceBucket.Arn}/sources/*"}
	onStack   = []string{"arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*"}
	onImages  = []string{"${Repositoryapp.Arn}", "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/flexbuild/*"}
)

func TestGrantReadAllowsExactlyThis(t *testing.T) {
	got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantRead(caller) })
	want := map[string][]string{
		"codebuild:BatchGetBuilds": onProject, "codebuild:ListBuildsForProject": onProject,
		"logs:GetLogEvents": onLogs, "logs:FilterLogEvents": onLogs,
		"cloudformation:DescribeStacks": onStack,
	}
	if diff := cmp.Diff(want, allowed(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGrantPullAllowsExactlyThis(t *testing.T) {
	got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantPull(caller) })
	want := map[string][]string{
		"ecr:GetAuthorizationToken":       {"*"},
		"ecr:BatchCheckLayerAvailability": onImages, "ecr:GetDownloadUrlForLayer": onImages, "ecr:BatchGetImage": onImages,
	}
	if diff := cmp.Diff(want, allowed(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGrantStartAllowsExactlyThis(t *testing.T) {
	got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) })
	want := map[string][]string{
		"codebuild:StartBuild": onProject, "codebuild:StopBuild": onProject,
		"codebuild:BatchGetBuilds": onProject, "codebuild:ListBuildsForProject": onProject,
		"logs:GetLogEvents": onLogs, "logs:FilterLogEvents": onLogs,
		"s3:PutObject": onUploads, "s3:ListBucket": {"${SourceBucket.Arn}"},
		"cloudformation:DescribeStacks": onStack,
	}
	if diff := cmp.Diff(want, allowed(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Uploads of others can be neither replaced nor found by whoever does not have
// them.
func TestGrantStartRestrictsUploads(t *testing.T) {
	got := map[string]string{}
	for _, statement := range granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) }) {
		for _, action := range texts(statement["Action"]) {
			if strings.HasPrefix(action, "s3:") {
				got[action] = compact(statement["Condition"])
			}
		}
	}
	want := map[string]string{
		"s3:PutObject":  `{"Null":{"s3:if-none-match":"false"}}`,
		"s3:ListBucket": `{"StringLike":{"s3:prefix":"sources/` + strings.Repeat("?", 64) + `/"}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Each key needs a statement of its own: those of one statement must all match.
func TestGrantStartDeniesEachDangerousOverride(t *testing.T) {
	denied, exceptions := map[string]bool{}, map[string]any{}
	for _, statement := range granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) }) {
		if statement["Effect"] != "Deny" {
			continue
		}
		if text(statement["Action"]) != "codebuild:StartBuild" || text(statement["Resource"]) != onProject[0] {
			t.Errorf("a deny is not about StartBuild of the project: %s", compact(statement))
		}
		if keys, _ := statement.at("Condition.Null").(map[string]any); len(keys) == 1 {
			for key, value := range keys {
				denied[key] = value == "false"
				if except := statement.at("Condition.StringNotEquals"); except != nil {
					exceptions[key] = except.(map[string]any)[key]
				}
			}
		}
	}
	want := map[string]any{"codebuild:environment.image": armImage, "codebuild:environment.type": "ARM_CONTAINER"}
	if diff := cmp.Diff(want, exceptions); diff != "" {
		t.Errorf("values that are not denied: -want +got:\n%s", diff)
	}
	for _, key := range []string{"source.location", "source", "environment.computeType", "environment", "environment.environmentVariables"} {
		if denied["codebuild:"+key] {
			t.Errorf("the override of %s is denied, which package runner needs", key)
		}
	}
}

func TestGrantStartDeniesEveryImageWithoutArm(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{ArmImage: jsii.String("")})
		builder.GrantStart(newCaller(stack), nil)
	})
	for _, statement := range documentStatements(tpl.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument")) {
		if statement.at("Condition.StringNotEquals") != nil {
			t.Errorf("an override has an exception: %s", compact(statement))
		}
	}
	if tpl.at("Outputs.ArmImage") != nil {
		t.Error("the stack says that it builds for ARM")
	}
}

func TestGrantStartDeniesVariablesThatAreNotTheCallers(t *testing.T) {
	var names []string
	for _, statement := range granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) }) {
		if condition, ok := statement.at("Condition.ForAnyValue:StringNotLike").(map[string]any); ok {
			names = texts(condition["codebuild:environment.environmentVariables.name"])
		}
	}
	want := strings.Fields("TAG REGION ACCOUNT CONTEXT DOCKERFILE TARGET BUILD_ARGS LABELS PLATFORMS CACHE SECRETS PULL NO_CACHE PROVENANCE SBOM SOURCE_SHA256 GIT_URL GIT_REF GIT_CHECKSUM GIT_TOKEN REQUEST_ID METADATA SECRET_*")
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("variables that a caller may set: -want +got:\n%s", diff)
	}
}

// policySize returns the size of statements in characters, with the ARN of the
// project in the place of its reference.
func policySize(statements []template) (size int) {
	for _, statement := range statements {
		size += len(strings.ReplaceAll(compact(statement), `{"Fn::GetAtt":["BuilderProject27328D1D","Arn"]}`,
			`"arn:aws-us-gov:codebuild:us-gov-west-1:123456789012:project/flexbuild"`))
	}
	return size
}

// An inline policy of a role has 10,240 characters for all of them together.
func TestGrantStartFitsARole(t *testing.T) {
	got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) })
	size := policySize(got)
	t.Logf("GrantStart takes %d characters", size)
	if size > 8000 {
		t.Errorf("GrantStart takes %d characters: little is left for anything else of the role", size)
	}
}

func TestAllowGivesTheBuildsPermissions(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowBaseImages(awsecr.Repository_FromRepositoryArn(stack, jsii.String("Base"), jsii.String("arn:aws:ecr:eu-west-1:123456789012:repository/base")))
		builder.AllowSecret(awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("Named"), jsii.String("team/npm")))
		builder.AllowSecret(awssecretsmanager.NewSecret(stack, jsii.String("Token"), nil))
		key := newKey(stack, "Key")
		builder.AllowParameter(awsssm.StringParameter_FromStringParameterName(stack, jsii.String("Parameter"), jsii.String("/team/key")), key)
		builder.AllowParameter(awsssm.StringParameter_FromStringParameterName(stack, jsii.String("Another"), jsii.String("/team/other")), key)
		builder.AllowParameter(awsssm.StringParameter_FromStringParameterName(stack, jsii.String("Third"), jsii.String("/team/third")), awskms.Key_FromKeyArn(stack, jsii.String("Other"), jsii.String(otherKeyARN)))
		builder.AllowConnection(jsii.String("arn:aws:codestar-connections:eu-west-1:123456789012:connection/11111111-2222"))
	})
	statements := documentStatements(tpl.the(t, "AWS::IAM::Policy", "BuilderPolicy").at("Properties.PolicyDocument"))
	found := map[string]bool{}
	for _, statement := range statements {
		for _, action := range texts(statement["Action"]) {
			found[fmt.Sprint(action, " ", texts(statement["Resource"]))] = true
		}
	}
	for _, want := range []string{
		"ecr:BatchGetImage [arn:aws:ecr:eu-west-1:123456789012:repository/base]",
		"secretsmanager:GetSecretValue [arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:team/npm-?????? ${Token}]",
		"ssm:GetParameters [" + parameterARN + "key " + parameterARN + "other " + parameterARN + "third]",
		"kms:Decrypt [" + keyARN + " " + otherKeyARN + "]",
	} {
		if !found[want] {
			t.Errorf("builds may not do %s; they may: %v", want, found)
		}
	}
	var bounded []string
	for _, statement := range statements {
		for _, action := range texts(statement["Action"]) {
			if service, _, _ := strings.Cut(action, ":"); service == "kms" || strings.HasSuffix(service, "connections") {
				bounded = append(bounded, fmt.Sprint(action, " ", texts(statement["Resource"]), " ", text(statement.at("Condition.StringLike.kms:ViaService"))))
			}
		}
	}
	connection := " [arn:aws:codestar-connections:eu-west-1:123456789012:connection/11111111-2222] "
	want := []string{
		"kms:Decrypt [" + keyARN + " " + otherKeyARN + "] ssm.${AWS::Region}.*",
		"codestar-connections:GetConnection" + connection,
		"codestar-connections:GetConnectionToken" + connection,
		"codestar-connections:UseConnection" + connection,
	}
	if diff := cmp.Diff(want, bounded); diff != "" {
		t.Errorf("keys and connections that builds may use: -want +got:\n%s", diff)
	}
}

const (
	parameterARN = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/team/"
	otherKeyARN  = "arn:aws:kms:eu-west-1:123456789012:key/55555555-1111-2222-3333-444444444444"
)

func TestGivenRoleMakesNoOther(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Role: awsiam.Role_FromRoleArn(stack, jsii.String("Given"), jsii.String("arn:aws:iam::123456789012:role/team/builds"), nil),
		})
	})
	if n := len(tpl.resources("AWS::IAM::Role")); n != 0 {
		t.Errorf("%d roles are made next to the given one", n)
	}
	if n := len(tpl.resources("AWS::Logs::ResourcePolicy")); n != 0 {
		t.Errorf("%d resource policies are made for the log group", n)
	}
}

func TestRoleImportedAsNotMutableIsLeftAlone(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Role: awsiam.Role_FromRoleArn(stack, jsii.String("Given"), jsii.String("arn:aws:iam::123456789012:role/builds"),
				&awsiam.FromRoleArnOptions{Mutable: jsii.Bool(false)}),
		})
	})
	if n := len(tpl.resources("AWS::IAM::Policy")); n != 0 {
		t.Errorf("%d policies are made", n)
	}
	check(t, tpl, []want{{projectType, "", "DependsOn", `null`}})
}

func TestRulesForBuilds(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.OnBuildFailed(jsii.String("Failed"), nil)
		builder.OnBuildSucceeded(jsii.String("Succeeded"), nil)
		builder.OnBuildStateChange(jsii.String("Changed"), nil)
		builder.OnBuildStopped(jsii.String("Stopped"), nil)
	})
	project := `"project-name":[{"Ref":"BuilderProject27328D1D"}]`
	for id, wants := range map[string][]string{
		"Failed": {project, `"build-status":["FAILED","FAULT","TIMED_OUT"]`}, "Stopped": {project, `"build-status":["STOPPED"]`}, "Succeeded": {project, `"build-status":["SUCCEEDED"]`}, "Changed": {project},
	} {
		pattern := compact(tpl.the(t, "AWS::Events::Rule", id).at("Properties.EventPattern"))
		for _, want := range wants {
			if !strings.Contains(pattern, want) {
				t.Errorf("%s matches %s, want %s in it", id, pattern, want)
			}
		}
	}
}

func TestStartLimitsAreValidated(t *testing.T) {
	for want, test := range map[string]struct {
		limits infra.StartLimits
		size   awscodebuild.ComputeType
	}{
		`StartLimits.Repositories[0]: "Team/*": write a repository's name`:      {limits: infra.StartLimits{Repositories: jsii.Strings("Team/*")}},
		`StartLimits.Repositories: empty`:                                       {limits: infra.StartLimits{Repositories: jsii.Strings()}},
		`StartLimits.Sources[0]: "github.com/acme/*": write an https URL`:       {limits: infra.StartLimits{Sources: jsii.Strings("github.com/acme/*")}},
		`StartLimits.Sources[0]: "https://*": write an https URL`:               {limits: infra.StartLimits{Sources: jsii.Strings("https://*")}},
		`StartLimits.Sources[0]: "https://github.com/acme/../x" has .. in it`:   {limits: infra.StartLimits{Sources: jsii.Strings("https://github.com/acme/../x")}},
		`StartLimits.Sources: empty without a Team`:                             {limits: infra.StartLimits{Sources: jsii.Strings()}},
		`StartLimits.AllowOverrides: true with other limits`:                    {limits: infra.StartLimits{AllowOverrides: jsii.Bool(true), Team: jsii.String("a")}},
		`StartLimits.Team: "a/b": write up to 32 letters`:                       {limits: infra.StartLimits{Team: jsii.String("a/b")}},
		`StartLimits.MaxComputeType: "HUGE": use one of`:                        {limits: infra.StartLimits{MaxComputeType: "HUGE"}},
		`StartLimits.MaxComputeType: "SMALL" is smaller than the project's own`: {infra.StartLimits{MaxComputeType: awscodebuild.ComputeType_SMALL}, awscodebuild.ComputeType_LARGE},
	} {
		message := panicOf(func() {
			synthesizeStack(t, nil, func(stack awscdk.Stack) {
				builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{ComputeType: test.size})
				builder.GrantStart(newCaller(stack), &test.limits)
			})
		})
		if !strings.Contains(message, want) {
			t.Errorf("panic %q, want %q", message, want)
		}
	}
}

// What a caller with every limit is denied, package runner's tests try on the
// engine.
func TestEachLimitHoldsByItself(t *testing.T) {
	const bucket = `{"Ref":"BuilderSourceBucketA0B3268A"}`
	for name, test := range map[string]struct {
		limits  infra.StartLimits
		uploads []string // where the caller may upload
		denied  []string
	}{
		"sources without a team": {
			infra.StartLimits{Sources: jsii.Strings("https://github.com/acme/*")}, nil,
			[]string{`{"StringNotLike":{"` + gitURLKey + `":["https://github.com/acme/*"],"codebuild:source.location":["https://github.com/acme/*"]}}`},
		},
		"no sources, and a team": {
			infra.StartLimits{Sources: jsii.Strings(), Team: jsii.String("a")}, []string{"${SourceBucket.Arn}/sources/a/*"},
			[]string{`{"StringNotLike":{"` + gitURLKey + `":["-"],"codebuild:source.location":["-",{"Fn::Join":["",[` + bucket + `,"/sources/a/*"]]}]}}`},
		},
		"a team": {
			infra.StartLimits{Team: jsii.String("a")}, []string{"${SourceBucket.Arn}/sources/a/*"},
			[]string{
				`{"StringLike":{"codebuild:source.location":{"Fn::Join":["",["*",` + bucket + `,"/*"]]}},"StringNotLike":{"codebuild:source.location":{"Fn::Join":["",[` + bucket + `,"/sources/a/*"]]}}}`,
				`{"StringLike":{"codebuild:source.location":{"Fn::Join":["",["*",` + bucket + `,"/*..*"]]}}}`,
			},
		},
		"one repository": {
			infra.StartLimits{Repositories: jsii.Strings("team/api")}, onUploads,
			[]string{`{"StringNotLike":{"codebuild:environment.environmentVariables/TAG.value":["team/api","team/api:*"]}}`},
		},
	} {
		got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, &test.limits) })
		if diff := cmp.Diff(test.uploads, allowed(got)["s3:PutObject"]); diff != "" {
			t.Errorf("%s: uploads: -want +got:\n%s", name, diff)
		}
		var denied []string
		for _, statement := range got {
			denied = append(denied, compact(statement["Condition"]))
		}
		for _, want := range test.denied {
			if !slices.Contains(denied, want) {
				t.Errorf("%s: not denied: %s", name, want)
			}
		}
	}
}

const gitURLKey = "codebuild:environment.environmentVariables/GIT_URL.value"

// The Grant covers what GrantStart denies, so that what waits for the Grant
// waits for that too.
func TestGrantOfGrantStartHasItsDenials(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		effects := func(limits *infra.StartLimits) map[awsiam.Effect]int {
			count := map[awsiam.Effect]int{}
			for _, statement := range *builder.GrantStart(awsiam.NewManagedPolicy(stack, jsii.String(fmt.Sprintf("Caller%p", limits)), nil), limits).PrincipalStatements() {
				count[statement.Effect()]++
			}
			return count
		}
		if got := effects(nil); got[awsiam.Effect_DENY] != 22 {
			t.Errorf("the Grant has the effects %v, want 22 denials", got)
		}
		if got := effects(&infra.StartLimits{AllowOverrides: jsii.Bool(true)}); got[awsiam.Effect_DENY] != 0 || got[awsiam.Effect_ALLOW] == 0 {
			t.Errorf("with AllowOverrides the Grant has the effects %v, want no denial", got)
		}
		service := awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)
		if n := len(*builder.GrantStart(service, nil).PrincipalStatements()); n != 0 {
			t.Errorf("a service gets %d statements", n)
		}
	})
}

func TestAllowOverridesDeniesNothing(t *testing.T) {
	grant := func(limits *infra.StartLimits) (allow, deny []string) {
		for _, statement := range granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, limits) }) {
			if statement["Effect"] == "Deny" {
				deny = append(deny, compact(statement))
			} else {
				allow = append(allow, compact(statement))
			}
		}
		return allow, deny
	}
	want, _ := grant(nil)
	got, denied := grant(&infra.StartLimits{AllowOverrides: jsii.Bool(true)})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is allowed differs: -want +got:\n%s", diff)
	}
	if len(denied) > 0 {
		t.Errorf("AllowOverrides denies %s", denied)
	}
}

// With all limits there is room left in a role for something else.
func TestGrantStartWithLimitsFitsARole(t *testing.T) {
	got := granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) {
		b.GrantStart(caller, &infra.StartLimits{
			Repositories: jsii.Strings("team-a/*"), Sources: jsii.Strings("https://github.com/acme/*"),
			Team: jsii.String("team-a"), MaxComputeType: awscodebuild.ComputeType_MEDIUM,
		})
	})
	size := policySize(got)
	t.Logf("GrantStart with limits takes %d characters", size)
	if size > 9500 {
		t.Errorf("GrantStart with limits takes %d characters of a role's 10,240", size)
	}
}
