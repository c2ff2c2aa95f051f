// Package iamapi is the API of the local engine's IAM for roles: what
// Terraform's AWS provider and the AWS CLI call for a role, its inline
// policies, its managed policies and its tags. Package iam keeps the roles.
//
// What the engine cannot enforce is refused by name: permissions boundaries,
// and sessions of more than an hour.
package iamapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Version and Namespace are those of IAM in AWS Query.
const (
	Version   = "2010-05-08"
	Namespace = "https://iam.amazonaws.com/doc/2010-05-08/"
)

// These are IAM's quotas.
const (
	maxPolicies = 10240 // characters of a role's inline policies, white space not counted
	maxTags     = 50
	maxSession  = 3600 // seconds; AWS allows twelve hours
)

// Service is the API. Its methods have the SDK's shape. Package wire serves
// them.
type Service struct{ IAM *iam.Service }

// Permissions returns the permissions that an operation's caller needs.
func (s Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	return iam.On(s.resources(input)...)
}

// resources returns the role that a call concerns, for authorization. All
// operations but ListRoles concern one.
func (s Service) resources(input any) []string {
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

// role returns the role called name, or NoSuchEntity.
func (s Service) role(name *string) (iam.Role, error) {
	role, found, err := s.IAM.Role(aws.ToString(name))
	if err == nil && !found {
		err = failure("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
	}
	return role, err
}

// change changes a role that must exist.
func (s Service) change(name *string, change func(*iam.Role) error) error {
	return s.IAM.ChangeRole(aws.ToString(name), change)
}

// encoded returns a document as IAM's answers have it: percent-encoded by RFC
// 3986. Unlike on AWS, its white space is gone, which the state file does not
// keep.
func encoded(document json.RawMessage) *string {
	var compact bytes.Buffer
	json.Compact(&compact, document) //nolint:errcheck // it was parsed before it was kept
	return aws.String(strings.ReplaceAll(url.QueryEscape(compact.String()), "+", "%20"))
}

// page cuts a list at MaxItems, from the place that a marker names.
func page[T any](all []T, maxItems *int32, marker *string) (cut []T, next *string, err error) {
	start := 0
	if marker != nil {
		if start, err = strconv.Atoi(*marker); err != nil || start < 0 || start > len(all) {
			return nil, nil, failure("ValidationError", "Invalid Marker.")
		}
	}
	end := min(start+int(aws.ToInt32(cmp.Or(maxItems, aws.Int32(100)))), len(all))
	if end < len(all) {
		next = aws.String(strconv.Itoa(end))
	}
	return all[start:end], next, nil
}

func failure(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}
