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

// What can go wrong before a build runs. Errors of this package wrap them, with
// the value in question and what to do, and keep the cause.
var (
	// ErrInvalidRequest: the request cannot be built as it is. Nearly all of that is
	// found before anything is sent; the rest is what CodeBuild refuses.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrRepositoryNotAllowed is an ErrInvalidRequest: a tag names a repository
	// that the stack's builds may not push to.
	ErrRepositoryNotAllowed = fmt.Errorf("%w: repository not allowed", ErrInvalidRequest)
	// ErrStackNotFound: no stack of that name is deployed there.
	ErrStackNotFound = errors.New("stack not found")
	// ErrIncompatibleStack: the stack is not flexbuild's, or of another version
	// of the contract than this package.
	ErrIncompatibleStack = errors.New("incompatible stack")
	// ErrCredentials: there are no AWS credentials, or AWS refuses them.
	ErrCredentials = errors.New("no valid AWS credentials")
	// ErrAccessDenied: the credentials are valid but may not do this.
	ErrAccessDenied = errors.New("access denied")
	// ErrUnreachable: the service does not answer.
	ErrUnreachable = errors.New("service not reachable")
	// ErrQueueFull: the account runs and queues as many builds as it may.
	ErrQueueFull = errors.New("build queue full")
	// ErrNoQuota: the account may run no build at all on such a machine.
	ErrNoQuota = errors.New("no quota for builds")
	// ErrUnknownStart: a build may be running that could not be found. The error
	// names what it can be found by.
	ErrUnknownStart = errors.New("a build may be running")
	// ErrBuildNotFound: there is no build with that id.
	ErrBuildNotFound = errors.New("build not found")
)

// How builds end badly. A [BuildError] is one of them.
var (
	ErrBuildFailed = errors.New("build failed")
	ErrTimedOut    = errors.New("build timed out")
	ErrStopped     = errors.New("build stopped")
	ErrFault       = errors.New("build hit a fault of the service")
	// ErrNoDigest: the build succeeded by its status, but named no image.
	ErrNoDigest = errors.New("build named no image digest")
)

// ErrLogsIncomplete ends a log of which lines may be missing.
var ErrLogsIncomplete = errors.New("log may be incomplete")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
}

// causes maps the codes that AWS services answer to what they mean here.
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

// The two ways on for whoever has no credentials.
const (
	getCredentials = `none could be got: configure a profile ("aws configure sso", "aws sso login", AWS_PROFILE) or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; ` + withoutAWS
	withoutAWS     = `to build on this machine without AWS, run "flexbuild local" and add --local`
)

// explain says what an SDK error means for the caller, who was doing that.
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

// hasExpired reports whether AWS refuses credentials because of their age.
func hasExpired(err error) bool {
	return hasCode(err, "ExpiredToken") || hasCode(err, "ExpiredTokenException")
}

// isTransient reports whether the same call may work a little later.
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

// BuildError is a build that ended badly. errors.Is matches it with
// [ErrBuildFailed], [ErrTimedOut], [ErrStopped], [ErrFault] or [ErrNoDigest].
type BuildError struct {
	BuildID string
	Status  Status
	Phase   string // the phase that failed, in CodeBuild's name; empty if none did
	Reason  string // one line; never the script's source: the script's own last word, else the service's
	LogURL  string // the log in the AWS console; empty until the build had one
	// LastLines are the last lines of the build's own output, at most 20: with
	// them goes what the failing step printed. Empty where the log could not be
	// read.
	LastLines []string
	// LogErr is why the log could not be read to its end, so that Reason and
	// LastLines may lack what it says. Nil where it was read, or not needed.
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
