package secretsmanager

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: message(format, args)}
}

func invalidNextToken(format string, args ...any) error {
	return &types.InvalidNextTokenException{Message: message(format, args)}
}

func invalidRequest(format string, args ...any) error {
	return &types.InvalidRequestException{Message: message(format, args)}
}

func resourceExists(format string, args ...any) error {
	return &types.ResourceExistsException{Message: message(format, args)}
}

func resourceNotFound(format string, args ...any) error {
	return &types.ResourceNotFoundException{Message: message(format, args)}
}

// message formats the message of an error.
func message(format string, args []any) *string { return aws.String(fmt.Sprintf(format, args...)) }
