package secretsmanager

import (
	"cmp"
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs. A
// secret that is created with tags takes that to tag it too.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	needs := iam.On(s.resources(input)...)
	if in, ok := input.(*sdk.CreateSecretInput); ok && len(in.Tags) > 0 {
		needs = append(needs, iam.Permission{Action: "secretsmanager:TagResource", Resource: needs[0].Resource})
	}
	return append(needs, s.needsOfKeys(input)...)
}

// needsOfKeys returns what the caller must be able to do with the KMS key of
// the secret whose value an operation reads or writes (Secrets Manager user
// guide, "Secret encryption and decryption").
func (s *Service) needsOfKeys(input any) []iam.Permission {
	written := ""
	switch in := input.(type) {
	case *sdk.GetSecretValueInput:
		return iam.UseKey("Decrypt", s.keyOf(in.SecretId), "secretsmanager", s.Region)
	case *sdk.CreateSecretInput:
		written = aws.ToString(in.KmsKeyId)
	case *sdk.PutSecretValueInput:
		written = s.keyOf(in.SecretId)
	case *sdk.UpdateSecretInput:
		if in.KmsKeyId != nil || in.SecretString != nil || in.SecretBinary != nil {
			written = cmp.Or(aws.ToString(in.KmsKeyId), s.keyOf(in.SecretId))
		}
	}
	return append(iam.UseKey("GenerateDataKey", written, "secretsmanager", s.Region), iam.UseKey("Decrypt", written, "secretsmanager", s.Region)...)
}

// keyOf returns the KMS key of a secret, "" for AWS's own and for a secret that
// does not exist.
func (s *Service) keyOf(id *string) string {
	found, err := s.find(aws.ToString(id))
	if err != nil {
		return ""
	}
	return found.KmsKeyID
}

// resources are the ARN of the secret that a call touches, and for one that is
// not there what its ARN would begin with.
func (s *Service) resources(input any) []string {
	var id *string
	switch in := input.(type) {
	case *sdk.CreateSecretInput:
		id = in.Name
	case *sdk.PutSecretValueInput:
		id = in.SecretId
	case *sdk.GetSecretValueInput:
		id = in.SecretId
	case *sdk.DescribeSecretInput:
		id = in.SecretId
	case *sdk.GetResourcePolicyInput:
		id = in.SecretId
	case *sdk.UpdateSecretInput:
		id = in.SecretId
	case *sdk.DeleteSecretInput:
		id = in.SecretId
	case *sdk.TagResourceInput:
		id = in.SecretId
	case *sdk.UntagResourceInput:
		id = in.SecretId
	default:
		return nil
	}
	if found, err := s.find(aws.ToString(id)); err == nil {
		return []string{found.ARN}
	}
	if strings.HasPrefix(aws.ToString(id), "arn:") {
		return []string{*id}
	}
	return []string{s.prefix() + aws.ToString(id)}
}
