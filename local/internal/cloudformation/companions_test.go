package cloudformation

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

const companions = `{"Resources": {
	"Settings": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/app/settings", "Type": "String", "Value": "one"}},
	"Given": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "given", "SecretString": "one", "Description": "a"}},
	"Made": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {
		"GenerateStringKey": "password", "SecretStringTemplate": "{\"username\": \"builder\"}", "PasswordLength": 40, "ExcludePunctuation": true}}}},
	"Outputs": {"Value": {"Value": {"Fn::GetAtt": ["Settings", "Value"]}}, "Made": {"Value": {"Ref": "Made"}}}}`

func (w *world) parameter(t *testing.T, name string) string {
	t.Helper()
	out, err := w.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
	must(t, err)
	return *out.Parameter.Value
}

func (w *world) secretValue(t *testing.T, id string) string {
	t.Helper()
	out, err := w.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	must(t, err)
	return *out.SecretString
}

func TestParametersAndSecretsAreDeployedChangedAndDeleted(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", companions)
	if got := w.status(t, "s"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "s"))
	}
	var made struct{ Username, Password string }
	must(t, json.Unmarshal([]byte(w.secretValue(t, w.outputs(t, "s")["Made"])), &made))
	if made.Username != "builder" || len(made.Password) != 40 || strings.ContainsAny(made.Password, "!/-") {
		t.Errorf("made %+v", made)
	}
	if got := w.parameter(t, "/app/settings") + w.secretValue(t, "given"); got != "oneone" {
		t.Error(got)
	}
	w.deploy(t, "s", strings.ReplaceAll(companions, `"one"`, `"two"`))
	if got := w.parameter(t, "/app/settings") + w.secretValue(t, "given") + w.outputs(t, "s")["Value"]; got != "twotwotwo" {
		t.Error(got, w.failures(t, "s"))
	}
	var after struct{ Username, Password string }
	must(t, json.Unmarshal([]byte(w.secretValue(t, w.outputs(t, "s")["Made"])), &after))
	if after != made {
		t.Error("an update elsewhere made another password")
	}
	w.destroy(t, "s")
	if _, err := w.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("given")}); err == nil {
		t.Error("the secret is still there")
	}
	w.deploy(t, "again", companions)
	if got := w.status(t, "again"); got != "CREATE_COMPLETE" {
		t.Error(got, w.failures(t, "again"))
	}
}

func TestTagsOfParametersAndSecretsFollowTheTemplate(t *testing.T) {
	w := startWorld(t)
	with := func(tags map[string]string) string {
		list := []map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			list = append(list, map[string]string{"Key": key, "Value": tags[key]})
		}
		asObject, err := json.Marshal(tags)
		must(t, err)
		asList, err := json.Marshal(list)
		must(t, err)
		return fmt.Sprintf(`{"Resources": {
			"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/p", "Type": "String", "Value": "v", "Tags": %s}},
			"S": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "s", "SecretString": "v", "Tags": %s}}}}`, asObject, asList)
	}
	for _, tags := range []map[string]string{{"team": "builds", "stage": "one"}, {"team": "images", "owner": "me"}, {}} {
		w.deploy(t, "s", with(tags))
		parameter, err := w.parameters.ListTagsForResource(t.Context(), &ssm.ListTagsForResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: aws.String("/p")})
		must(t, err)
		ofParameter, ofSecret := map[string]string{}, map[string]string{}
		for _, tag := range parameter.TagList {
			ofParameter[*tag.Key] = *tag.Value
		}
		secret, err := w.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
		must(t, err)
		for _, tag := range secret.Tags {
			ofSecret[*tag.Key] = *tag.Value
		}
		if !maps.Equal(ofParameter, tags) || !maps.Equal(ofSecret, tags) {
			t.Errorf("the parameter has %v and the secret %v, want %v", ofParameter, ofSecret, tags)
		}
	}
}

func TestATemplateReadsParameters(t *testing.T) {
	w := startWorld(t)
	const body = `{"Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/group"}},
		"Resources": {"L": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Ref": "P"}}}}, "Outputs": {"O": {"Value": {"Ref": "L"}}}}`
	_, err := w.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: aws.String("s"), TemplateBody: aws.String(body)})
	wantError(t, err, "ValidationError", "Unable to fetch parameters [/group]")
	_, err = w.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/group"), Type: "String", Value: aws.String("/from/parameter")})
	must(t, err)
	w.deploy(t, "s", body)
	if got := w.outputs(t, "s")["O"]; got != "/from/parameter" {
		t.Error(got)
	}
}

// Resources that only watch or notify are recorded, and the stack's events say
// so.
func TestWhatIsRecordedOnlySaysSo(t *testing.T) {
	w := startWorld(t)
	body, err := os.ReadFile("../../../infra/testdata/own-stack.json")
	must(t, err)
	w.deploy(t, "s", string(body))
	if got := w.status(t, "s"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "s"))
	}
	out, err := w.client.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: aws.String("s")})
	must(t, err)
	said := map[string]string{}
	for _, e := range out.StackEvents {
		if e.ResourceStatus == "CREATE_COMPLETE" {
			said[*e.ResourceType] = aws.ToString(e.ResourceStatusReason)
		}
	}
	for _, kind := range []string{"AWS::Events::Rule", "AWS::SNS::Topic"} {
		if !strings.HasPrefix(said[kind], "The local engine records it only: ") {
			t.Errorf("%s: %q", kind, said[kind])
		}
	}
	if said["AWS::CodeBuild::Project"] != "" {
		t.Errorf("a project: %q", said["AWS::CodeBuild::Project"])
	}
	w.destroy(t, "s")
}

const schedule = `{"Resources": {"S": {"Type": "AWS::Scheduler::Schedule", "Properties": {"Name": "nightly",
	"ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleExpressionTimezone": "Europe/Berlin", "FlexibleTimeWindow": {"Mode": "OFF"},
	"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:codebuild:startBuild", "RoleArn": "arn:aws:iam::000000000000:role/r",
		"Input": "{\"ProjectName\":\"p\",\"EnvironmentVariablesOverride\":[{\"Name\":\"TAG\",\"Value\":\"app\",\"Type\":\"PLAINTEXT\"}]}"}}}},
	"Outputs": {"Name": {"Value": {"Ref": "S"}}, "Arn": {"Value": {"Fn::GetAtt": ["S", "Arn"]}}}}`

func TestASchedule(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", schedule)
	out := w.outputs(t, "s")
	if out["Name"] != "nightly" || out["Arn"] != "arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly" {
		t.Error(out, w.failures(t, "s"))
	}
	w.deploy(t, "s", strings.Replace(schedule, "cron(0 3 * * ? *)", "rate(12 hours)", 1))
	if got := w.status(t, "s"); got != "UPDATE_COMPLETE" {
		t.Error(got, w.failures(t, "s"))
	}
	w.destroy(t, "s")
}

// The stack fails for a schedule that EventBridge Scheduler would refuse.
func TestAScheduleThatIsWrong(t *testing.T) {
	for want, change := range map[string][2]string{
		`ScheduleExpression is "0 3 * * *", no schedule: write rate(1 day)`:             {"cron(0 3 * * ? *)", "0 3 * * *"},
		`ScheduleExpressionTimezone is "Europe/Bonn", no time zone`:                     {"Europe/Berlin", "Europe/Bonn"},
		`FlexibleTimeWindow/Mode is "SOMETIMES"; the local engine can do OFF, FLEXIBLE`: {`"OFF"`, `"SOMETIMES"`},
		`Target has an Input that is none of StartBuild: json: unknown field "Tags"`:    {`EnvironmentVariablesOverride`, "Tags"},
		"Target has an Input without a ProjectName":                                     {`\"ProjectName\":\"p\",`, ""},
		`Target/RoleArn is required`:                                                    {`"RoleArn": "arn:aws:iam::000000000000:role/r",`, ""},
		`Target/EcsParameters is not one that the local engine knows`:                   {`"RoleArn"`, `"EcsParameters": {}, "RoleArn"`},
	} {
		w := startWorld(t)
		body := strings.Replace(schedule, change[0], change[1], 1)
		if body == schedule {
			t.Fatalf("%q is not in the template", change[0])
		}
		_, err := w.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: aws.String("s"), TemplateBody: &body})
		wantError(t, err, "ValidationError", want)
	}
}

func TestRecordedResourcesCanBeReferredTo(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", `{"Resources": {
		"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": "a", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 0.5, "AlarmActions": [{"Ref": "Topic"}]}},
		"Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": "{}"}},
		"Rule": {"Type": "AWS::ECR::PullThroughCacheRule", "Properties": {"EcrRepositoryPrefix": "hub", "UpstreamRegistryUrl": "registry-1.docker.io"}},
		"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}}},
		"Outputs": {"Topic": {"Value": {"Ref": "Topic"}}, "Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}},
			"Alarm": {"Value": {"Fn::GetAtt": ["Alarm", "Arn"]}}, "Prefix": {"Value": {"Ref": "Rule"}}}}`)
	want := map[string]string{"Topic": "arn:aws:sns:us-east-1:000000000000:t", "Name": "t", "Alarm": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a", "Prefix": "hub"}
	got := w.outputs(t, "s")
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s is %s, want %s; %s", key, got[key], want[key], w.failures(t, "s"))
		}
	}
}
