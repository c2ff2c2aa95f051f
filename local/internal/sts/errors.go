package sts

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
)

// failure returns an error of the caller, by its code.
func failure(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// denied gives a refusal STS's code. It is the same if there is no such role,
// because callers need not know which of the two it is.
func denied(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		return failure("AccessDenied", "%s", api.ErrorMessage())
	}
	return err
}
