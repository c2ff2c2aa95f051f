package cloudformation

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// invalid is CloudFormation's ValidationError, the answer to most mistakes.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{
		Code:    "ValidationError",
		Message: fmt.Sprintf(format, args...),
		Fault:   smithy.FaultClient,
	}
}

// asInvalid answers a mistake in a template with a ValidationError.
func asInvalid(err error) error {
	if found, ok := errors.AsType[template.Error](err); ok {
		return invalid("%s", found)
	}
	return err
}
