package cloudformation

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
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

func alreadyExists(format string, args ...any) error {
	return &types.AlreadyExistsException{Message: message(format, args)}
}

func changeSetNotFound(format string, args ...any) error {
	return &types.ChangeSetNotFoundException{Message: message(format, args)}
}

func invalidChangeSetStatus(format string, args ...any) error {
	return &types.InvalidChangeSetStatusException{Message: message(format, args)}
}

func insufficientCapabilities(format string, args ...any) error {
	return &types.InsufficientCapabilitiesException{Message: message(format, args)}
}

// message formats the message of an error.
func message(format string, args []any) *string { return aws.String(fmt.Sprintf(format, args...)) }
