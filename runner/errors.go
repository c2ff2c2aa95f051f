package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// These errors occur before a build runs. Errors of this package wrap them,
// name the value in question, say what to do, and keep their cause.
var (
	// ErrInvalidRequest means that the request cannot be built as it is. Nearly
	// all such requests are refused before anything is sent; CodeBuild refuses
	// the rest.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrRepositoryNotAllowed is an ErrInvalidRequest. A tag names a repository
	// to which the stack's builds may not push.
	ErrRepositoryNotAllowed = fmt.Errorf("%w: repository not allowed", ErrInvalidRequest)
	// ErrStackNotFound means that no stack with that name is deployed in the
	// region.
	ErrStackNotFound = errors.New("stack not found")
	// ErrIncompatibleStack means that the stack is not one of flexbuild's, or
	// has another version of the contract than this package.
	ErrIncompatibleStack = errors.New("incompatible stack")
	// ErrCredentials means that there are no AWS credentials, or that AWS
	// refuses them.
	ErrCredentials = errors.New("no valid AWS credentials")
	// ErrAccessDenied means that the credentials are valid and lack a
	// permission.
	ErrAccessDenied = errors.New("access denied")
	// ErrUnreachable means that the service does not answer.
	ErrUnreachable = errors.New("service not reachable")
	// ErrQueueFull means that the account already runs and queues as many
	// builds as it may.
	ErrQueueFull = errors.New("build queue full")
	// ErrNoQuota means that the account may run no build at all on such a
	// machine.
	ErrNoQuota = errors.New("no quota for builds")
	// ErrUnknownStart means that a build may be running which could not be
	// found. The error names what it can be found by.
	ErrUnknownStart = errors.New("a build may be running")
	// ErrBuildNotFound means that there is no build with that id.
	ErrBuildNotFound = errors.New("build not found")
)

// These errors say how a build ended. A [BuildError] wraps one of them.
var (
	ErrBuildFailed = errors.New("build failed")
	ErrTimedOut    = errors.New("build timed out")
	ErrStopped     = errors.New("build stopped")
	ErrFault       = errors.New("build hit a fault of the service")
	// ErrNoDigest means that the build's status is SUCCEEDED and that it
	// exported no image.
	ErrNoDigest = errors.New("build named no image digest")
)

// ErrLogsIncomplete means that lines of a log may be missing.
var ErrLogsIncomplete = errors.New("log may be incomplete")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
}

// causes maps error codes of AWS services to the errors of this package.
var causes = map[string]error{
	"ExpiredToken":                        ErrCredentials,
	"ExpiredTokenException":               ErrCredentials,
	"IncompleteSignature":                 ErrCredentials,
	"IncompleteSignatureException":        ErrCredentials,
	"InvalidAccessKeyId":                  ErrCredentials,
	"InvalidClientTokenId":                ErrCredentials,
	"InvalidSignatureException":           ErrCredentials,
	"MissingAuthenticationToken":          ErrCredentials,
	"MissingAuthenticationTokenException": ErrCredentials,
	"SignatureDoesNotMatch":               ErrCredentials,
	"UnrecognizedClientException":         ErrCredentials,
	"AccessDenied":                        ErrAccessDenied,
	"AccessDeniedException":               ErrAccessDenied,
	"UnknownError":                        ErrUnreachable, // an answer without a code is not AWS's
}

var advice = map[error]string{
	ErrCredentials:  "check the profile, the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the clock",
	ErrAccessDenied: "let the caller's role do this; the construct's GrantStart allows all that is needed",
	ErrUnreachable:  `check the network, a proxy, and that the endpoint (AWS_ENDPOINT_URL) is AWS; the local engine is started by "flexbuild local"`,
}

// These say what callers without credentials can do.
const (
	getCredentials = `none could be got: configure a profile ("aws configure sso", "aws sso login", AWS_PROFILE) or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; ` + withoutAWS
	withoutAWS     = `to build on this machine without AWS, run "flexbuild local" and add --local`
)

// explain wraps an error of the SDK in the error of this package that it means,
// with what was being done and what to do.
func explain(doing string, err error) error {
	if cause := causeOf(err); cause != nil {
		return fmt.Errorf("%s: %w: %s: %w", doing, cause, advice[cause], err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func causeOf(err error) error {
	var api smithy.APIError
	if errors.Is(err, errNoAnswer) {
		return ErrUnreachable
	}
	var unsent *smithyhttp.RequestSendError
	var unread *smithy.DeserializationError
	var answer *smithyhttp.ResponseError // not in AWS's words
	switch {
	case isCancel(err):
		return nil
	case errors.As(err, &api):
		return causes[api.ErrorCode()]
	case errors.As(err, &unsent), errors.As(err, &unread), errors.As(err, &answer):
		return ErrUnreachable
	}
	return nil
}

func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func hasCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}

func isThrottle(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// hasExpired reports whether AWS refuses the credentials because they have
// expired.
func hasExpired(err error) bool {
	return hasCode(err, "ExpiredToken") || hasCode(err, "ExpiredTokenException")
}

// isTransient reports whether the same call may succeed a little later.
func isTransient(err error) bool {
	var api smithy.APIError
	var fresh renewed
	switch {
	case err == nil:
		return false
	case errors.As(err, &fresh), errors.As(err, &api) && api.ErrorFault() == smithy.FaultServer:
		return true
	}
	return isThrottle(err) || causeOf(err) == ErrUnreachable || errors.Is(err, ErrUnreachable) ||
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}

// BuildError is the error of a build that did not succeed. errors.Is matches it
// with [ErrBuildFailed], [ErrTimedOut], [ErrStopped], [ErrFault] or
// [ErrNoDigest].
type BuildError struct {
	BuildID string
	Status  Status
	Phase   string // CodeBuild's name of the phase that failed; empty if none did
	Reason  string // one line: the script's error if the log has one, otherwise CodeBuild's message
	LogURL  string // the log in the AWS console; empty if the build had no log
	// LastLines are the last lines of the build's own output, at most 20. They
	// usually contain what the failed step printed. They are empty if the log
	// could not be read.
	LastLines []string
	// LogErr is the error that kept the log from being read to its end. Reason
	// and LastLines may then be incomplete. It is nil if the log was read or
	// not needed.
	LogErr error

	kind error
}

func (e *BuildError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%v: %s", e.kind, e.BuildID)
	if e.Phase != "" {
		fmt.Fprintf(&text, " in %s", e.Phase)
	}
	if e.Reason != "" {
		fmt.Fprintf(&text, ": %s", e.Reason)
	}
	return text.String()
}

func (e *BuildError) Unwrap() error { return e.kind }
