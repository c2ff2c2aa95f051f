package cloudformation

import (
	"fmt"

	"github.com/aws/smithy-go"
)

// invalid is CloudFormation's ValidationError, the answer to most mistakes.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{
		Code:    "ValidationError",
		Message: fmt.Sprintf(format, args...),
		Fault:   smithy.FaultClient,
	}
}
