package logs

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: message(format, args)}
}

func resourceNotFound(format string, args ...any) error {
	return &types.ResourceNotFoundException{Message: message(format, args)}
}

func noSuchGroup() error { return resourceNotFound("The specified log group does not exist.") }

func tooManyTags(format string, args ...any) error {
	return &types.TooManyTagsException{Message: message(format, args)}
}

func resourceAlreadyExists(format string, args ...any) error {
	return &types.ResourceAlreadyExistsException{Message: message(format, args)}
}

// constraint returns an error in AWS's words for a value that its API model
// does not allow.
func constraint(field, value string, form fmt.Stringer) error {
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", value, field, form)
}

// message formats the message of an error.
func message(format string, args []any) *string { return aws.String(fmt.Sprintf(format, args...)) }
