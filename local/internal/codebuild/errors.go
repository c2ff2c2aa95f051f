package codebuild

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
)

func invalid(format string, args ...any) error {
	return &types.InvalidInputException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func notFound(format string, args ...any) error {
	return &types.ResourceNotFoundException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func alreadyExists(format string, args ...any) error {
	return &types.ResourceAlreadyExistsException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func limitExceeded(format string, args ...any) error {
	return &types.AccountLimitExceededException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func unavailable(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ServiceUnavailable", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultServer}
}

// constraint returns an error in AWS's words for a value that its API model
// does not allow.
func constraint(field string, value any, rule string, args ...any) error {
	return invalid("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must %s",
		value, field, fmt.Sprintf(rule, args...))
}

// checkEnum refuses a value that the enumeration does not have. An empty value
// is accepted.
func checkEnum[T ~string](field string, value T, allowed []T) error {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if value == a {
			return nil
		}
		names[i] = string(a)
	}
	if value == "" {
		return nil
	}
	return constraint(field, value, "satisfy enum value set: [%s]", strings.Join(names, ", "))
}

// checkRange refuses a number outside of the range in AWS's API model. nil is
// accepted.
func checkRange(field string, value *int32, least, most int32) error {
	switch {
	case value == nil:
		return nil
	case *value < least:
		return constraint(field, *value, "have value greater than or equal to %d", least)
	case *value > most:
		return constraint(field, *value, "have value less than or equal to %d", most)
	}
	return nil
}

func checkCount(field string, n, least, most int) error {
	if n < least {
		return constraint(field, "[]", "have length greater than or equal to %d", least)
	}
	if n > most {
		return constraint(field, fmt.Sprintf("%d items", n), "have length less than or equal to %d", most)
	}
	return nil
}
