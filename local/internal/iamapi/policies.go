package iamapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// PutRolePolicy adds or replaces an inline policy.
func (s *Service) PutRolePolicy(_ context.Context, in *sdk.PutRolePolicyInput) (*sdk.PutRolePolicyOutput, error) {
	document := json.RawMessage(aws.ToString(in.PolicyDocument))
	if err := iam.CheckInlinePolicy(document); err != nil {
		return nil, err
	}
	return &sdk.PutRolePolicyOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		policies := map[string]json.RawMessage{}
		maps.Copy(policies, role.Policies)
		policies[aws.ToString(in.PolicyName)] = document
		if size(policies) > maxPolicies {
			return failure("LimitExceeded", "Maximum policy size of %d bytes exceeded for role %s", maxPolicies, role.Name)
		}
		role.Policies = policies
		return nil
	})
}

// size counts the characters of policies as IAM's quota does.
func size(policies map[string]json.RawMessage) (n int) {
	for _, document := range policies {
		for _, c := range string(document) {
			if !unicode.IsSpace(c) {
				n++
			}
		}
	}
	return n
}

// GetRolePolicy returns an inline policy.
func (s *Service) GetRolePolicy(_ context.Context, in *sdk.GetRolePolicyInput) (*sdk.GetRolePolicyOutput, error) {
	role, err := s.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	document, found := role.Policies[aws.ToString(in.PolicyName)]
	if !found {
		return nil, noPolicy(in.PolicyName)
	}
	return &sdk.GetRolePolicyOutput{RoleName: &role.Name, PolicyName: in.PolicyName, PolicyDocument: encoded(document)}, nil
}

func noPolicy(name *string) error {
	return failure("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(name))
}

// ListRolePolicies lists the names of a role's inline policies.
func (s *Service) ListRolePolicies(_ context.Context, in *sdk.ListRolePoliciesInput) (*sdk.ListRolePoliciesOutput, error) {
	role, err := s.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	names, next, err := pageOf(slices.Sorted(maps.Keys(role.Policies)), func(name string) string { return name }, in.MaxItems, in.Marker)
	return &sdk.ListRolePoliciesOutput{PolicyNames: names, Marker: next, IsTruncated: next != nil}, err
}

// DeleteRolePolicy removes an inline policy.
func (s *Service) DeleteRolePolicy(_ context.Context, in *sdk.DeleteRolePolicyInput) (*sdk.DeleteRolePolicyOutput, error) {
	return &sdk.DeleteRolePolicyOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		if _, found := role.Policies[aws.ToString(in.PolicyName)]; !found {
			return noPolicy(in.PolicyName)
		}
		delete(role.Policies, aws.ToString(in.PolicyName))
		return nil
	})
}

// AttachRolePolicy attaches one of the managed policies that the engine has.
// Attaching one twice is not an error.
func (s *Service) AttachRolePolicy(_ context.Context, in *sdk.AttachRolePolicyInput) (*sdk.AttachRolePolicyOutput, error) {
	arn := aws.ToString(in.PolicyArn)
	if err := iam.CheckManagedPolicy(arn); err != nil {
		return nil, err
	}
	return &sdk.AttachRolePolicyOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		if !slices.Contains(role.ManagedPolicies, arn) {
			role.ManagedPolicies = append(slices.Clone(role.ManagedPolicies), arn)
		}
		return nil
	})
}

// DetachRolePolicy detaches a managed policy.
func (s *Service) DetachRolePolicy(_ context.Context, in *sdk.DetachRolePolicyInput) (*sdk.DetachRolePolicyOutput, error) {
	arn := aws.ToString(in.PolicyArn)
	return &sdk.DetachRolePolicyOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		i := slices.Index(role.ManagedPolicies, arn)
		if i < 0 {
			return failure("NoSuchEntity", "Policy %s was not found.", arn)
		}
		role.ManagedPolicies = slices.Delete(slices.Clone(role.ManagedPolicies), i, i+1)
		return nil
	})
}

// ListAttachedRolePolicies lists a role's managed policies. AWS's own that the
// engine has are under the path "/".
func (s *Service) ListAttachedRolePolicies(_ context.Context, in *sdk.ListAttachedRolePoliciesInput) (*sdk.ListAttachedRolePoliciesOutput, error) {
	role, err := s.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	var attached []types.AttachedPolicy
	for _, arn := range role.ManagedPolicies {
		if prefix := aws.ToString(in.PathPrefix); prefix == "" || prefix == "/" {
			attached = append(attached, types.AttachedPolicy{PolicyArn: aws.String(arn), PolicyName: aws.String(arn[strings.LastIndex(arn, "/")+1:])})
		}
	}
	cut, next, err := pageOf(attached, func(p types.AttachedPolicy) string { return *p.PolicyArn }, in.MaxItems, in.Marker)
	return &sdk.ListAttachedRolePoliciesOutput{AttachedPolicies: cut, Marker: next, IsTruncated: next != nil}, err
}
