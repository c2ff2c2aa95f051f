package s3

import (
	"fmt"

	"github.com/aws/smithy-go"
)

// failure returns an error of the caller, by its code.
func failure(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

func noSuchBucket(name string) error {
	return failure("NoSuchBucket", "The specified bucket does not exist: %s", name)
}
