package cloudformation

import (
	"context"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	needs := iam.On(s.resources(input)...)
	if role := field(input, "RoleARN"); role != "" {
		if len(needs) == 0 { // the stack is not there, as the operation itself says
			needs = iam.On("*")
		}
		needs = append(needs, iam.PassRole(role, iam.CloudFormation))
	}
	return needs
}

// resources names the stack that a request is about, for the decision whether
// the caller may make it. A request about no stack in particular names none.
func (s *Service) resources(input any) []string {
	name := field(input, "StackName")
	if name == "" {
		return nil
	}
	if strings.HasPrefix(name, "arn:") {
		return []string{name}
	}
	if stack, err := s.find(name); err == nil {
		return []string{stack.ID}
	}
	return []string{s.arn("stack", name, "*")}
}

// field returns a text of a request, or "" if it has none of that name.
func field(input any, name string) string {
	value := reflect.ValueOf(input).Elem().FieldByName(name)
	if !value.IsValid() {
		return ""
	}
	text, _ := value.Interface().(*string)
	return aws.ToString(text)
}
