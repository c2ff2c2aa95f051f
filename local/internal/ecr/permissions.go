package ecr

import (
	"context"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs. A
// repository that is created with tags takes that to tag it too.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	needs := iam.On(s.resources(input)...)
	if in, ok := input.(*ecr.CreateRepositoryInput); ok && len(in.Tags) > 0 {
		needs = append(needs, iam.Permission{Action: "ecr:TagResource", Resource: needs[0].Resource})
	}
	return needs
}

// resources names the repositories that a call of an operation is about, for
// its authorization.
func (s *Service) resources(input any) []string {
	v := reflect.Indirect(reflect.ValueOf(input))
	if v.Kind() != reflect.Struct {
		return []string{"*"}
	}
	var names []string
	if f := v.FieldByName("ResourceArn"); f.IsValid() {
		return []string{aws.ToString(f.Interface().(*string))}
	}
	registry := iam.AccountID
	if f := v.FieldByName("RegistryId"); f.IsValid() && !f.IsNil() {
		registry = *f.Interface().(*string)
	}
	if f := v.FieldByName("RepositoryName"); f.IsValid() {
		names = []string{aws.ToString(f.Interface().(*string))}
	} else if f := v.FieldByName("RepositoryNames"); f.IsValid() {
		names = f.Interface().([]string)
	}
	if len(names) == 0 && registry == iam.AccountID {
		return []string{"*"}
	}
	if len(names) == 0 {
		names = []string{"*"}
	}
	arns := make([]string, len(names))
	for i, name := range names {
		arns[i] = s.arnIn(registry, name)
	}
	return arns
}
