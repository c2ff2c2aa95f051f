package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/local/internal/agent/spec"
)

// Status codes of the phase context when a variable's value cannot be had, seen
// in real builds.
const (
	parameterFailed = "Decrypted Variables Error"
	secretFailed    = "Secrets Manager Error"
)

// requested are the variables that the build was asked to have. Those of the
// buildspec come first: the project's and the call's win. The values of secrets
// are read with the role's permissions and hidden in the log.
func (b *build) requested(ctx context.Context) (map[string]string, error) {
	asked := map[string]types.EnvironmentVariable{}
	for _, v := range slices.Concat(
		typed(types.EnvironmentVariableTypePlaintext, b.spec.Variables),
		typed(types.EnvironmentVariableTypeParameterStore, b.spec.Parameters),
		typed(types.EnvironmentVariableTypeSecretsManager, b.spec.Secrets),
		b.document.Environment.EnvironmentVariables,
	) {
		asked[*v.Name] = v
	}
	values := map[string]string{}
	b.secrets = map[string]bool{}
	var hidden []string
	for name, v := range asked {
		value, err := b.value(ctx, v)
		if err != nil {
			return nil, err
		}
		values[name] = value
		if v.Type == types.EnvironmentVariableTypeParameterStore || v.Type == types.EnvironmentVariableTypeSecretsManager {
			b.secrets[name] = true
			hidden = append(hidden, value)
		}
	}
	b.log.hide(hidden)
	return values, nil
}

func typed(kind types.EnvironmentVariableType, variables []spec.Variable) []types.EnvironmentVariable {
	var all []types.EnvironmentVariable
	for _, v := range variables {
		all = append(all, types.EnvironmentVariable{Name: &v.Name, Value: &v.Value, Type: kind})
	}
	return all
}

func (b *build) value(ctx context.Context, v types.EnvironmentVariable) (string, error) {
	switch v.Type {
	case types.EnvironmentVariableTypeParameterStore:
		value, err := b.parameter(ctx, *v.Value)
		return value, failed(parameterFailed, err)
	case types.EnvironmentVariableTypeSecretsManager:
		value, err := b.secret(ctx, *v.Value)
		return value, failed(secretFailed, err)
	}
	return *v.Value, nil
}

func failed(code string, err error) error {
	if err == nil {
		return nil
	}
	return &phaseError{code, answered(err)}
}

func (b *build) parameter(ctx context.Context, name string) (string, error) {
	out, err := b.clients.parameters.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{name}, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	if len(out.Parameters) == 0 {
		return "", fmt.Errorf("parameter does not exist: %s", name)
	}
	return aws.ToString(out.Parameters[0].Value), nil
}

func (b *build) secret(ctx context.Context, reference string) (string, error) {
	in, key := parseReference(reference)
	out, err := b.clients.secrets.GetSecretValue(ctx, in)
	switch {
	case err != nil:
		return "", err
	case out.SecretString == nil:
		return "", fmt.Errorf("secret %s is binary, which a variable cannot be", *in.SecretId)
	case key == "":
		return *out.SecretString, nil
	}
	return member(*out.SecretString, key, *in.SecretId)
}

// parseReference takes apart id:json-key:version-stage:version-id, of which all
// but the first may be missing. The id may be an ARN, which has seven parts of
// its own.
func parseReference(reference string) (in *secretsmanager.GetSecretValueInput, key string) {
	parts := strings.Split(reference, ":")
	ofID := 1
	if parts[0] == "arn" {
		ofID = min(7, len(parts))
	}
	rest := append(parts[ofID:], "", "", "")
	in = &secretsmanager.GetSecretValueInput{SecretId: aws.String(strings.Join(parts[:ofID], ":"))}
	if rest[1] != "" {
		in.VersionStage = &rest[1]
	}
	if rest[2] != "" {
		in.VersionId = &rest[2]
	}
	return in, rest[0]
}

// member is one member of a secret that is a JSON object; what is no string is
// given as JSON.
func member(secret, key, id string) (string, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(secret), &object) != nil {
		return "", fmt.Errorf("secret %s is not a JSON object, so it has no key %q", id, key)
	}
	value, found := object[key]
	if !found {
		return "", fmt.Errorf("secret %s has no key %q", id, key)
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, nil
	}
	return string(value), nil
}

// mask is what the log shows in a secret's place.
const mask = "***"

// shortestLine is the length from which secrets, and each line of one with
// many, are hidden: what is shorter would be found all over the log, in the
// build's own id too.
const shortestLine = 4

// hide replaces secrets in all that is written from now on. The log is made of
// lines, so the lines of a secret with many are replaced one by one.
func (l *buildLog) hide(secrets []string) {
	var lines []string
	for _, secret := range secrets {
		for _, line := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if len(line) >= shortestLine {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.SortFunc(lines, func(a, b string) int { return len(b) - len(a) }) // a secret may begin with another
	var pairs []string
	for _, line := range lines {
		pairs = append(pairs, line, mask)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hidden = strings.NewReplacer(pairs...)
}
