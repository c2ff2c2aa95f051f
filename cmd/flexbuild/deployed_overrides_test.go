package main

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild/internal/overridetest"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// A role that has GrantStart and nothing else starts a build with each
// override. On AWS it is the role of FLEXBUILD_TEST_CALLER_ROLE, here the
// caller of one of infra's golden templates.
func permitsWhatCallersMayOverride(t *testing.T, d deployed) {
	cfg, project, tag, role := d.cfg, d.client.Stack().ProjectName, d.tag, os.Getenv("FLEXBUILD_TEST_CALLER_ROLE")
	if !d.onAWS {
		cfg, project, role = engineWithACaller(t)
		tag = "team/api:1"
	} else if role == "" {
		t.Skip("FLEXBUILD_TEST_CALLER_ROLE is not set: no override was tried as a caller")
	}
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role))
	overridetest.Check(t, cfg, codebuild.StartBuildInput{
		ProjectName:                  &project,
		SourceTypeOverride:           types.SourceTypeGithub,
		SourceLocationOverride:       aws.String("https://github.com/docker-library/hello-world.git"),
		EnvironmentVariablesOverride: plain(map[string]string{"TAG": tag}),
	})
}

// engineWithACaller returns the settings of an engine, its project and the role
// that may start builds there.
func engineWithACaller(t *testing.T) (cfg aws.Config, project, role string) {
	t.Helper()
	e := localtest.New(t, localtest.SimulateBuilds(nil))
	e.Deploy(t, "team", readFile(t, "infra/testdata/own-stack.json"))
	stacks, err := cloudformation.NewFromConfig(e.Config()).DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("team")})
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for _, output := range stacks.Stacks[0].Outputs {
		outputs[*output.OutputKey] = *output.OutputValue
	}
	return e.Config(), "Stack-Builder-403EDD3E", outputs["CallerArn"]
}
