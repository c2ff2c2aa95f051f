package agent

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awssecrets "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// putSecrets makes a parameter and a secret with two versions, whose ARN it
// returns.
func (b *bench) putSecrets(t *testing.T) (arn string) {
	t.Helper()
	_, err := b.parameters.PutParameter(t.Context(), &awsssm.PutParameterInput{
		Name: aws.String("/team/token"), Type: ssmtypes.ParameterTypeSecureString, Value: aws.String("swordfish"),
	})
	must(t, err)
	made, err := b.secrets.CreateSecret(t.Context(), &awssecrets.CreateSecretInput{
		Name: aws.String("git"), SecretString: aws.String(`{"token": "old-token"}`),
	})
	must(t, err)
	_, err = b.secrets.PutSecretValue(t.Context(), &awssecrets.PutSecretValueInput{
		SecretId: made.ARN, SecretString: aws.String(`{"token": "new-token", "port": 8443, "key": "line one\nline two"}`),
	})
	must(t, err)
	return *made.ARN
}

// asked sets variables of the call, given as name, type, value.
func asked(variables ...[3]string) edit {
	return func(in *sdk.StartBuildInput) {
		for _, v := range variables {
			in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride,
				types.EnvironmentVariable{Name: &v[0], Type: types.EnvironmentVariableType(v[1]), Value: &v[2]})
		}
	}
}

func TestVariablesGetTheValuesOfParametersAndSecrets(t *testing.T) {
	b := newBench(t)
	arn := b.putSecrets(t)
	r := b.run(t, asked(
		[3]string{"PARAMETER", "PARAMETER_STORE", "/team/token"},
		[3]string{"WHOLE", "SECRETS_MANAGER", "git::AWSPREVIOUS"},
		[3]string{"TOKEN", "SECRETS_MANAGER", arn + ":token"},
		[3]string{"PORT", "SECRETS_MANAGER", "git:port:AWSCURRENT:"},
		[3]string{"KEY", "SECRETS_MANAGER", "git:key"},
	), buildspec(`version: 0.2
env:
  exported-variables: [OUT, TOKEN]
  parameter-store: {FROM_SPEC: /team/token, TOKEN: /not/there}
phases:
  build:
    commands:
      - echo "$PARAMETER $TOKEN $PORT" | rev
      - echo "parameter=$PARAMETER, token=$TOKEN, from spec=$FROM_SPEC"
      - echo "$KEY"
      - |
        test "$WHOLE" = '{"token": "old-token"}'
      - OUT=done
`))
	r.want(t, types.StatusTypeSucceeded, "3448 nekot-wen hsifdrows\n", "parameter=***, token=***, from spec=***\n", "\n***\n***\n")
	for _, secret := range []string{"swordfish", "new-token", "line two"} {
		if strings.Contains(r.log, secret) {
			t.Errorf("the log shows %q:\n%s", secret, r.log)
		}
	}
	if got := r.exported(); got["OUT"] != "done" || len(got) != 1 {
		t.Errorf("exported: %v", got)
	}
	document, err := json.Marshal(r.Build)
	must(t, err)
	if strings.Contains(string(document), "swordfish") || strings.Contains(string(document), "new-token") {
		t.Errorf("the build shows a secret: %s", document)
	}
}

// Of a secret that begins with another one, no tail is left in the log.
func TestASecretThatBeginsWithAnotherIsHiddenWhole(t *testing.T) {
	b := newBench(t)
	for name, value := range map[string]string{"/a": "swordfish", "/b": "swordfish-and-chips", "/c": "swordfish-and"} {
		_, err := b.parameters.PutParameter(t.Context(), &awsssm.PutParameterInput{Name: &name, Type: ssmtypes.ParameterTypeSecureString, Value: &value})
		must(t, err)
	}
	r := b.run(t, asked([3]string{"A", "PARAMETER_STORE", "/a"}, [3]string{"B", "PARAMETER_STORE", "/b"}, [3]string{"C", "PARAMETER_STORE", "/c"}),
		buildspec("{version: 0.2, phases: {build: {commands: ['echo \"a=$A b=$B c=$C.\"']}}}"))
	r.want(t, types.StatusTypeSucceeded, "a=*** b=*** c=***.\n")
}

func TestABuildFailsWhenItsSecretsCannotBeRead(t *testing.T) {
	b := newBench(t)
	b.putSecrets(t)
	echo := commands("sh", "", "echo it ran")
	for _, c := range []struct{ kind, value, want string }{
		{"PARAMETER_STORE", "/not/there", "Decrypted Variables Error: parameter does not exist: /not/there"},
		{"SECRETS_MANAGER", "nothing", "Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find the specified secret."},
		{"SECRETS_MANAGER", "git:nokey", `Secrets Manager Error: secret git has no key "nokey"`},
		{"SECRETS_MANAGER", "git::AWSPENDING", "Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING"},
	} {
		r := b.run(t, echo, asked([3]string{"X", c.kind, c.value}))
		r.want(t, types.StatusTypeFailed)
		if r.context() != c.want || strings.Contains(r.log, "it ran") {
			t.Errorf("%s: %s; phases %s", c.value, r.context(), r.phases())
		}
	}
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":["logs:*","secretsmanager:GetSecretValue"],"Resource":["arn:aws:logs:*","arn:aws:secretsmanager:*:secret:other-*"]}]}`)
	for kind, want := range map[string]string{
		"PARAMETER_STORE": "is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:000000000000:parameter/team/token",
		"SECRETS_MANAGER": "is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:000000000000:secret:git-",
	} {
		r := b.run(t, echo, asked([3]string{"X", kind, map[string]string{"PARAMETER_STORE": "/team/token", "SECRETS_MANAGER": "git:token"}[kind]}))
		r.want(t, types.StatusTypeFailed)
		if !strings.Contains(r.context(), want) || !strings.Contains(r.phases(), "DOWNLOAD_SOURCE:FAILED") {
			t.Errorf("%s: %s; phases %s", kind, r.context(), r.phases())
		}
	}
}
