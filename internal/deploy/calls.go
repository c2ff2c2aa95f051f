package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// attemptTimeout bounds each attempt of a call. The SDK sends a request again
// that got no answer.
const attemptTimeout = 20 * time.Second

// patience is how many attempts a call gets that only looks how a deployment is
// doing: with the SDK's pauses they take minutes.
const patience = 12

// errTimeout is why a deployment is not waited for any longer.
var errTimeout = errors.New("it takes too long")

func newClient(cfg aws.Config) *cloudformation.Client {
	return cloudformation.NewFromConfig(cfg, cloudformation.WithAPIOptions(limitAttempts))
}

func patiently(o *cloudformation.Options) { o.RetryMaxAttempts = patience }

func limitAttempts(stack *middleware.Stack) error {
	limit := middleware.FinalizeMiddlewareFunc("limit the attempt", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		limited, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		out, metadata, err := next.HandleFinalize(limited, in)
		if err != nil && limited.Err() != nil && ctx.Err() == nil {
			err = noAnswer{}
		}
		return out, metadata, err
	})
	return stack.Finalize.Insert(limit, "Retry", middleware.After)
}

// noAnswer is an attempt that ran into its time limit.
type noAnswer struct{}

func (noAnswer) Error() string { return fmt.Sprintf("no answer within %v", attemptTimeout) }

// RetryableError makes the SDK try again.
func (noAnswer) RetryableError() bool { return true }

// refusal returns what the service said if it refused a request, "" if err is
// anything else. After a refusal it is certain that the request had no effect.
// To be throttled is none: an attempt before may have had one, and its answer
// was lost.
func refusal(err error) string {
	var api smithy.APIError
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &answer) || answer.HTTPStatusCode() >= http.StatusInternalServerError ||
		retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary {
		return ""
	}
	return api.ErrorMessage()
}

// isValidation reports whether the service refused a request as it is, in these
// words.
func isValidation(err error, words string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), words)
}

// invalidIf makes an ErrInvalid of a request that the service refused as it is.
func invalidIf(err error, doing string) error {
	if isValidation(err, "") {
		return invalid("%s", refusal(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// pause waits, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
