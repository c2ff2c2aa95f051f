package runner_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// The engine has no scheduler, so the test does what it would do: it assumes
// the role of the schedule and sends the input.
func TestAScheduleMayStartItsBuildAndNoOther(t *testing.T) {
	t.Parallel()
	for _, schedule := range []string{"Nightly", "Weekly"} {
		role, input := scheduled(t, schedule)
		builds := codebuild.NewFromConfig(role)
		started, err := builds.StartBuild(t.Context(), input())
		if err != nil {
			t.Fatalf("%s: %v", schedule, err)
		}
		if got := aws.ToString(started.Build.Source.Location); got != "https://github.com/acme/api" {
			t.Errorf("%s builds %s", schedule, got)
		}
		for name, change := range map[string]func(*codebuild.StartBuildInput){
			"buildspec": func(in *codebuild.StartBuildInput) { in.BuildspecOverride = aws.String("version: 0.2") },
			"role": func(in *codebuild.StartBuildInput) {
				in.ServiceRoleOverride = aws.String("arn:aws:iam::000000000000:role/other")
			},
			"image": func(in *codebuild.StartBuildInput) { in.ImageOverride = aws.String("evil/image") },
			"variable": func(in *codebuild.StartBuildInput) {
				in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{Name: aws.String("REGISTRY"), Value: aws.String("evil")})
			},
		} {
			in := input()
			change(in)
			if _, err := builds.StartBuild(t.Context(), in); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
				t.Errorf("%s with another %s: error %v, want AccessDenied", schedule, name, err)
			}
		}
	}
}

// scheduled deploys infra's golden template rebuilds with a role of the
// schedule that the account may assume. It returns the role's settings and what
// the schedule sends.
func scheduled(t *testing.T, schedule string) (aws.Config, func() *codebuild.StartBuildInput) {
	t.Helper()
	text, err := os.ReadFile("../infra/testdata/rebuilds.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Outputs, Resources map[string]map[string]any
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	var role, sent string
	for id, resource := range template.Resources {
		properties, _ := resource["Properties"].(map[string]any)
		switch {
		case strings.HasPrefix(id, "Builder"+schedule+"Role"):
			role = id
			properties["AssumeRolePolicyDocument"] = json.RawMessage(`{"Version": "2012-10-17", "Statement": [
				{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}]}`)
		case strings.HasPrefix(id, "Builder"+schedule):
			sent = inputOf(properties["Target"].(map[string]any))
		}
	}
	assumable, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	engine.Deploy(t, "team", string(assumable))
	cfg := engine.Config()
	out, err := cloudformation.NewFromConfig(cfg).DescribeStackResource(t.Context(), &cloudformation.DescribeStackResourceInput{StackName: aws.String("team"), LogicalResourceId: &role})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), "arn:aws:iam::000000000000:role/"+*out.StackResourceDetail.PhysicalResourceId)
	return cfg, func() *codebuild.StartBuildInput {
		var in codebuild.StartBuildInput
		if err := json.Unmarshal([]byte(sent), &in); err != nil {
			t.Fatal(err)
		}
		in.IdempotencyToken = nil // EventBridge Scheduler puts the time into it
		return &in
	}
}

// inputOf returns the input of a schedule's target. The one reference in it is
// to the project, which is called images.
func inputOf(target map[string]any) string {
	var text string
	for _, part := range target["Input"].(map[string]any)["Fn::Join"].([]any)[1].([]any) {
		if literal, ok := part.(string); ok {
			text += literal
			continue
		}
		text += "images"
	}
	return text
}
