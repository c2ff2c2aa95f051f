package cloudformation

import (
	"reflect"
	"strings"
)

// Resources names the stack that a request is about, for the decision whether
// the caller may make it. A request about no stack in particular names none.
func (s *Service) Resources(_ string, input any) []string {
	field := reflect.ValueOf(input).Elem().FieldByName("StackName")
	if !field.IsValid() {
		return nil
	}
	name, _ := field.Interface().(*string)
	if name == nil || *name == "" {
		return nil
	}
	if strings.HasPrefix(*name, "arn:") {
		return []string{*name}
	}
	if stack, err := s.find(*name); err == nil {
		return []string{stack.ID}
	}
	return []string{s.arn("stack", *name, "*")}
}
