package iamapi

import (
	"cmp"
	"context"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	return iam.On(s.resources(input)...)
}

// resources returns the role that a call concerns, for authorization. All
// operations but ListRoles concern one.
func (s *Service) resources(input any) []string {
	if in, ok := input.(*sdk.CreateRoleInput); ok {
		return []string{iam.RoleARN(cmp.Or(aws.ToString(in.Path), "/"), aws.ToString(in.RoleName))}
	}
	name := roleName(input)
	if name == "" {
		return nil
	}
	role, found, err := s.IAM.Role(name)
	if err != nil || !found {
		return []string{iam.RoleARN("/", name)}
	}
	return []string{role.ARN}
}

// roleName returns the RoleName of an input, or "" if it has none.
func roleName(input any) string {
	field := reflect.ValueOf(input).Elem().FieldByName("RoleName")
	if !field.IsValid() {
		return ""
	}
	name, _ := field.Interface().(*string)
	return aws.ToString(name)
}
