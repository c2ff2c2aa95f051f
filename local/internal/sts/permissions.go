package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(ctx context.Context, _ string, input any) []iam.Permission {
	in, ok := input.(*sts.AssumeRoleInput)
	if !ok {
		return nil
	}
	asked := assumption(in)
	asked.Principal, _ = iam.PrincipalFrom(ctx)
	var needs []iam.Permission
	for _, action := range asked.Actions() {
		needs = append(needs, iam.Permission{Action: action, Resource: asked.RoleARN, Keys: asked.RequestKeys()})
	}
	return needs
}
