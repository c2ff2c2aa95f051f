package resources

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Secrets is what the secret provider needs of the engine's Secrets Manager.
type Secrets interface {
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput) (*secretsmanager.CreateSecretOutput, error)
	UpdateSecret(context.Context, *secretsmanager.UpdateSecretInput) (*secretsmanager.UpdateSecretOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput) (*secretsmanager.DeleteSecretOutput, error)
	TagResource(context.Context, *secretsmanager.TagResourceInput) (*secretsmanager.TagResourceOutput, error)
	UntagResource(context.Context, *secretsmanager.UntagResourceInput) (*secretsmanager.UntagResourceOutput, error)
	GetRandomPassword(context.Context, *secretsmanager.GetRandomPasswordInput) (*secretsmanager.GetRandomPasswordOutput, error)
}

// secretProvider is AWS::SecretsManager::Secret.
type secretProvider struct{ secrets Secrets }

func (secretProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"Id"},
		Properties: map[string]Property{
			"Description": {},
			"GenerateSecretString": {Kind: Object, Fields: map[string]Property{
				"ExcludeCharacters":       {},
				"ExcludeLowercase":        {Kind: Boolean},
				"ExcludeNumbers":          {Kind: Boolean},
				"ExcludePunctuation":      {Kind: Boolean},
				"ExcludeUppercase":        {Kind: Boolean},
				"GenerateStringKey":       {},
				"IncludeSpace":            {Kind: Boolean},
				"PasswordLength":          {Kind: Integer},
				"RequireEachIncludedType": {Kind: Boolean},
				"SecretStringTemplate":    {},
			}},
			"KmsKeyId":       {Inert: "it is reported; the state directory is readable by its owner only, and there is no KMS"},
			"Name":           {CreateOnly: true},
			"ReplicaRegions": {Refused: "it is one region"},
			"SecretString":   {},
			"Tags":           tagList,
		},
	}
}

func (p secretProvider) Create(ctx context.Context, r Request) (Resource, error) {
	in, err := convert[secretsmanager.CreateSecretInput](without(r.Properties, "GenerateSecretString"))
	if err != nil {
		return Resource{}, err
	}
	in.Name = aws.String(r.Name("Name", 255))
	if in.SecretString, err = p.value(ctx, r); err != nil {
		return Resource{}, err
	}
	made, err := p.secrets.CreateSecret(ctx, &in)
	if err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: *made.ARN, Attributes: map[string]any{"Id": *made.ARN}}, nil
}

// Update keeps a generated value unless the template says how to make another.
func (p secretProvider) Update(ctx context.Context, r Request, arn string) (Resource, error) {
	in := &secretsmanager.UpdateSecretInput{SecretId: &arn, Description: aws.String(r.String("Description")), KmsKeyId: aws.String(r.String("KmsKeyId"))}
	changed := !SameJSON(r.Properties["GenerateSecretString"], r.Previous["GenerateSecretString"]) || r.String("SecretString") != text(r.Previous["SecretString"])
	if changed {
		value, err := p.value(ctx, r)
		if err != nil {
			return Resource{}, err
		}
		in.SecretString = value
	}
	if _, err := p.secrets.UpdateSecret(ctx, in); err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: arn, Attributes: map[string]any{"Id": arn}}, p.changeTags(ctx, r, arn)
}

func (p secretProvider) changeTags(ctx context.Context, r Request, arn string) error {
	tags := tagMap(r.Properties["Tags"])
	if gone := keysGone(tagMap(r.Previous["Tags"]), tags); len(gone) > 0 {
		if _, err := p.secrets.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &arn, TagKeys: gone}); err != nil {
			return err
		}
	}
	in := &secretsmanager.TagResourceInput{SecretId: &arn}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	if len(in.Tags) == 0 {
		return nil
	}
	_, err := p.secrets.TagResource(ctx, in)
	return err
}

// value is the one that the template gives or has generated; nil if it does
// neither.
func (p secretProvider) value(ctx context.Context, r Request) (*string, error) {
	rules, generate := r.Properties["GenerateSecretString"].(map[string]any)
	given, isGiven := r.Properties["SecretString"].(string)
	switch {
	case generate && isGiven:
		return nil, fmt.Errorf("You can't specify both SecretString and GenerateSecretString") //nolint:staticcheck // Secrets Manager's own words
	case isGiven:
		return &given, nil
	case !generate:
		return nil, nil
	}
	in, err := convert[secretsmanager.GetRandomPasswordInput](without(rules, "GenerateStringKey", "SecretStringTemplate"))
	if err != nil {
		return nil, err
	}
	out, err := p.secrets.GetRandomPassword(ctx, &in)
	if err != nil {
		return nil, err
	}
	return intoTemplate(*out.RandomPassword, text(rules["GenerateStringKey"]), text(rules["SecretStringTemplate"]))
}

// intoTemplate puts a password into a JSON object under a key, if these are
// given.
func intoTemplate(password, key, template string) (*string, error) {
	if key == "" && template == "" {
		return &password, nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(template), &object); err != nil || key == "" {
		return nil, fmt.Errorf("GenerateSecretString needs both GenerateStringKey, which is %q, and in SecretStringTemplate a JSON object, which is %q", key, template)
	}
	object[key] = password
	data, err := json.Marshal(object)
	return aws.String(string(data)), err
}

func (p secretProvider) Delete(ctx context.Context, _ Request, arn string) error {
	_, err := p.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: aws.Bool(true)})
	_, err = unlessNotFound[*types.ResourceNotFoundException](err)
	return err
}
