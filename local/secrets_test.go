package local_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/local"
)

// secretStack has a project whose role may read the parameter and the secret of
// the stack, and no other secret.
const secretStack = `
Resources:
  Token:
    Type: AWS::SSM::Parameter
    Properties: {Name: /app/token, Type: String, Value: from-the-stack}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: app, SecretString: '{"password": "hunter2"}'}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: builds
          PolicyDocument:
            Statement:
              - {Effect: Allow, Action: "logs:*", Resource: "*"}
              - {Effect: Allow, Action: ssm:GetParameters, Resource: !Sub "arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/app/*"}
              - {Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Ref Secret}
  Project:
    Type: AWS::CodeBuild::Project
    Properties:
      Name: reader
      ServiceRole: !GetAtt Role.Arn
      Artifacts: {Type: NO_ARTIFACTS}
      Source: {Type: NO_SOURCE, BuildSpec: "version: 0.2\nphases: {build: {commands: ['test \"$TOKEN $PASSWORD\" = \"from-the-stack hunter2\"']}}"}
      Environment:
        Type: LINUX_CONTAINER
        ComputeType: BUILD_GENERAL1_SMALL
        Image: any
        EnvironmentVariables:
          - {Name: TOKEN, Type: PARAMETER_STORE, Value: !Ref Token}
          - {Name: PASSWORD, Type: SECRETS_MANAGER, Value: !Sub "${Secret}:password"}
`

func TestBuildsReadTheSecretsThatTheirRoleMayRead(t *testing.T) {
	cfg := run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config()
	if err := local.Deploy(t.Context(), cfg, "reader", secretStack); err != nil {
		t.Fatal(err)
	}
	start := func(variables ...types.EnvironmentVariable) types.Build {
		t.Helper()
		out, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &codebuild.StartBuildInput{
			ProjectName: aws.String("reader"), EnvironmentVariablesOverride: variables,
		})
		if err != nil {
			t.Fatal(err)
		}
		return until(t, cfg, *out.Build.Id, complete)
	}
	if b := start(); b.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("%s: %s", b.BuildStatus, why(b))
	}
	if _, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/other"), Type: "String", Value: aws.String("x"),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("other"), SecretString: aws.String("x"),
	}); err != nil {
		t.Fatal(err)
	}
	for kind, name := range map[types.EnvironmentVariableType]string{"PARAMETER_STORE": "/other", "SECRETS_MANAGER": "other"} {
		b := start(types.EnvironmentVariable{Name: aws.String("OTHER"), Type: kind, Value: &name})
		if b.BuildStatus != types.StatusTypeFailed || !strings.Contains(why(b), "is not authorized to perform") {
			t.Errorf("%s: %s: %s", kind, b.BuildStatus, why(b))
		}
	}
}

// why returns the message of the phase that failed.
func why(b types.Build) string {
	for _, p := range b.Phases {
		if p.PhaseStatus == types.StatusTypeFailed {
			return aws.ToString(p.Contexts[0].StatusCode) + ": " + aws.ToString(p.Contexts[0].Message)
		}
	}
	return ""
}
