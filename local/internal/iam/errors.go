package iam

import (
	"fmt"

	"github.com/aws/smithy-go"
)

// failure returns an error of the caller, by its code.
func failure(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

func accessDenied(who, action, resource, why string) error {
	return failure("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s", who, action, resource, why)
}
