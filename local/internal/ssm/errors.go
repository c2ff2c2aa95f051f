package ssm

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

func invalidFilterKey(format string, args ...any) error {
	return &types.InvalidFilterKey{Message: message(format, args)}
}

func invalidNextToken(format string, args ...any) error {
	return &types.InvalidNextToken{Message: message(format, args)}
}

func invalidFilterOption(format string, args ...any) error {
	return &types.InvalidFilterOption{Message: message(format, args)}
}

func invalidFilterValue(format string, args ...any) error {
	return &types.InvalidFilterValue{Message: message(format, args)}
}

func parameterNotFound(format string, args ...any) error {
	return &types.ParameterNotFound{Message: message(format, args)}
}

func parameterVersionNotFound(format string, args ...any) error {
	return &types.ParameterVersionNotFound{Message: message(format, args)}
}

func parameterAlreadyExists(format string, args ...any) error {
	return &types.ParameterAlreadyExists{Message: message(format, args)}
}

func invalidAllowedPattern(format string, args ...any) error {
	return &types.InvalidAllowedPatternException{Message: message(format, args)}
}

func parameterPatternMismatch(format string, args ...any) error {
	return &types.ParameterPatternMismatchException{Message: message(format, args)}
}

// invalid is the answer to most mistakes.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// invalidResourceID and tooManyTags return errors that have no message on AWS
// either.
func invalidResourceID() error { return &types.InvalidResourceId{} }
func tooManyTags() error       { return &types.TooManyTagsError{} }

// message formats the message of an error.
func message(format string, args []any) *string { return aws.String(fmt.Sprintf(format, args...)) }
