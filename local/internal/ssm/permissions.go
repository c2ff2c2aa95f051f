package ssm

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	return append(iam.On(s.resources(input)...), s.needsOfKeys(input)...)
}

// needsOfKeys returns what the caller must be able to do with the KMS keys of
// the SecureStrings that an operation writes, or reads in plain text (Systems
// Manager user guide, "AWS KMS encryption for AWS Systems Manager Parameter
// Store SecureString parameters").
func (s *Service) needsOfKeys(input any) (needs []iam.Permission) {
	var names []string
	switch in := input.(type) {
	case *sdk.PutParameterInput:
		return iam.UseKey("Encrypt", aws.ToString(in.KeyId), "ssm", s.Region)
	case *sdk.GetParameterInput:
		if aws.ToBool(in.WithDecryption) {
			names = []string{aws.ToString(in.Name)}
		}
	case *sdk.GetParametersInput:
		if aws.ToBool(in.WithDecryption) {
			names = in.Names
		}
	}
	for _, name := range names {
		if p, found, err := s.parameters.Get(s.nameOf(name)); err == nil && found {
			needs = append(needs, iam.UseKey("Decrypt", p.KeyID, "ssm", s.Region)...)
		}
	}
	return needs
}

// resources are the parameters that a call touches.
func (s *Service) resources(input any) []string {
	switch in := input.(type) {
	case *sdk.PutParameterInput:
		return []string{s.ARN(aws.ToString(in.Name))}
	case *sdk.DeleteParameterInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.Name)))}
	case *sdk.GetParameterInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.Name)))}
	case *sdk.GetParametersByPathInput:
		return []string{s.ARN(aws.ToString(in.Path))}
	case *sdk.ListTagsForResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.AddTagsToResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.RemoveTagsFromResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.GetParametersInput:
		var arns []string
		for _, name := range in.Names {
			arns = append(arns, s.ARN(s.nameOf(name)))
		}
		return arns
	}
	return nil
}
