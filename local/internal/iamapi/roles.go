package iamapi

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// CreateRole creates a role. It fails if there is one of that name, whatever
// its path.
func (s *Service) CreateRole(_ context.Context, in *sdk.CreateRoleInput) (*sdk.CreateRoleOutput, error) {
	if in.PermissionsBoundary != nil {
		return nil, failure("ValidationError", "PermissionsBoundary is not supported by the local engine, which would not enforce it")
	}
	if err := checkSession(in.MaxSessionDuration); err != nil {
		return nil, err
	}
	document := json.RawMessage(aws.ToString(in.AssumeRolePolicyDocument))
	if err := iam.CheckTrustPolicy(document); err != nil {
		return nil, err
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	role, err := s.IAM.CreateRole(iam.Role{
		Name: aws.ToString(in.RoleName), Path: cmp.Or(aws.ToString(in.Path), "/"), Description: aws.ToString(in.Description),
		TrustPolicy: document, Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	described := describe(role)
	return &sdk.CreateRoleOutput{Role: &described}, nil
}

func checkSession(seconds *int32) error {
	if aws.ToInt32(seconds) > maxSession {
		return failure("ValidationError", "MaxSessionDuration %d is not supported by the local engine, whose sessions last %d seconds at most", *seconds, maxSession)
	}
	return nil
}

func describe(r iam.Role) types.Role {
	created := r.Created
	described := types.Role{
		Arn: aws.String(r.ARN), RoleId: aws.String(r.ID), RoleName: aws.String(r.Name), Path: aws.String(r.Path),
		CreateDate: &created, MaxSessionDuration: aws.Int32(maxSession),
		AssumeRolePolicyDocument: encoded(r.TrustPolicy), Tags: tagList(r.Tags),
	}
	if r.Description != "" {
		described.Description = aws.String(r.Description)
	}
	return described
}

// GetRole describes a role.
func (s *Service) GetRole(_ context.Context, in *sdk.GetRoleInput) (*sdk.GetRoleOutput, error) {
	role, err := s.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	described := describe(role)
	return &sdk.GetRoleOutput{Role: &described}, nil
}

// ListRoles lists the roles under a path, by name. As on AWS, it leaves out
// their tags.
func (s *Service) ListRoles(_ context.Context, in *sdk.ListRolesInput) (*sdk.ListRolesOutput, error) {
	roles, err := s.IAM.Roles()
	if err != nil {
		return nil, err
	}
	var found []types.Role
	for _, role := range roles {
		if strings.HasPrefix(role.Path, aws.ToString(in.PathPrefix)) {
			described := describe(role)
			described.Tags = nil
			found = append(found, described)
		}
	}
	cut, next, err := pageOf(found, func(r types.Role) string { return *r.RoleName }, in.MaxItems, in.Marker)
	return &sdk.ListRolesOutput{Roles: cut, Marker: next, IsTruncated: next != nil}, err
}

// UpdateRole sets a role's description.
func (s *Service) UpdateRole(_ context.Context, in *sdk.UpdateRoleInput) (*sdk.UpdateRoleOutput, error) {
	if err := checkSession(in.MaxSessionDuration); err != nil {
		return nil, err
	}
	return &sdk.UpdateRoleOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		if in.Description != nil {
			role.Description = *in.Description
		}
		return nil
	})
}

// UpdateRoleDescription sets a role's description.
func (s *Service) UpdateRoleDescription(_ context.Context, in *sdk.UpdateRoleDescriptionInput) (*sdk.UpdateRoleDescriptionOutput, error) {
	var changed types.Role
	err := s.change(in.RoleName, func(role *iam.Role) error {
		role.Description = aws.ToString(in.Description)
		changed = describe(*role)
		return nil
	})
	return &sdk.UpdateRoleDescriptionOutput{Role: &changed}, err
}

// UpdateAssumeRolePolicy replaces a role's trust policy.
func (s *Service) UpdateAssumeRolePolicy(_ context.Context, in *sdk.UpdateAssumeRolePolicyInput) (*sdk.UpdateAssumeRolePolicyOutput, error) {
	document := json.RawMessage(aws.ToString(in.PolicyDocument))
	if err := iam.CheckTrustPolicy(document); err != nil {
		return nil, err
	}
	return &sdk.UpdateAssumeRolePolicyOutput{}, s.change(in.RoleName, func(role *iam.Role) error {
		role.TrustPolicy = document
		return nil
	})
}

// DeleteRole removes a role that has no policies.
func (s *Service) DeleteRole(_ context.Context, in *sdk.DeleteRoleInput) (*sdk.DeleteRoleOutput, error) {
	role, err := s.role(in.RoleName)
	switch {
	case err != nil:
		return nil, err
	case len(role.ManagedPolicies) > 0:
		return nil, failure("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(role.Policies) > 0:
		return nil, failure("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	return &sdk.DeleteRoleOutput{}, s.IAM.DeleteRole(role.Name)
}

// ListInstanceProfilesForRole lists nothing: the engine has no instances.
func (s *Service) ListInstanceProfilesForRole(_ context.Context, in *sdk.ListInstanceProfilesForRoleInput) (*sdk.ListInstanceProfilesForRoleOutput, error) {
	_, err := s.role(in.RoleName)
	return &sdk.ListInstanceProfilesForRoleOutput{}, err
}
