package wire

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"
)

// A dialect maps the engine's names for authentication failures to a protocol's
// own codes. The engine uses the names of AWS JSON, and skewed and misScoped,
// for which AWS JSON has no names.
type dialect map[string]string

const (
	skewed    = "RequestTimeTooSkewed"
	misScoped = "AuthorizationHeaderMalformed"
)

var jsonDialect = dialect{
	skewed:    "InvalidSignatureException",
	misScoped: "InvalidSignatureException",
}

var queryDialect = dialect{
	"AccessDeniedException":               "AccessDenied",
	"ExpiredTokenException":               "ExpiredToken",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
	"UnknownOperationException":           "InvalidAction",
	"UnrecognizedClientException":         "InvalidClientTokenId",
	skewed:                                "SignatureDoesNotMatch",
	misScoped:                             "SignatureDoesNotMatch",
}

var restDialect = dialect{
	"AccessDeniedException":               "AccessDenied",
	"ExpiredTokenException":               "ExpiredToken",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"MissingAuthenticationTokenException": "AccessDenied",
	"UnknownOperationException":           "NotImplemented",
	"UnrecognizedClientException":         "InvalidAccessKeyId",
}

// statuses maps error codes to HTTP statuses. Every other error of the caller
// has the status 400.
var statuses = map[string]int{
	"AccessDenied":                          http.StatusForbidden,
	"BucketAlreadyOwnedByYou":               http.StatusConflict,
	"BucketNotEmpty":                        http.StatusConflict,
	"DeleteConflict":                        http.StatusConflict,
	"EntityAlreadyExists":                   http.StatusConflict,
	"ExpiredToken":                          http.StatusForbidden,
	"InvalidAccessKeyId":                    http.StatusForbidden,
	"InvalidClientTokenId":                  http.StatusForbidden,
	"InvalidRange":                          http.StatusRequestedRangeNotSatisfiable,
	"MethodNotAllowed":                      http.StatusMethodNotAllowed,
	"MissingAuthenticationToken":            http.StatusForbidden,
	"MissingContentLength":                  http.StatusLengthRequired,
	"NoSuchBucket":                          http.StatusNotFound,
	"NoSuchBucketPolicy":                    http.StatusNotFound,
	"NoSuchCORSConfiguration":               http.StatusNotFound,
	"NoSuchEntity":                          http.StatusNotFound,
	"NoSuchKey":                             http.StatusNotFound,
	"NoSuchLifecycleConfiguration":          http.StatusNotFound,
	"NoSuchTagSet":                          http.StatusNotFound,
	"NoSuchUpload":                          http.StatusNotFound,
	"NoSuchVersion":                         http.StatusNotFound,
	"NoSuchWebsiteConfiguration":            http.StatusNotFound,
	"NotImplemented":                        http.StatusNotImplemented,
	"ObjectLockConfigurationNotFoundError":  http.StatusNotFound,
	"PreconditionFailed":                    http.StatusPreconditionFailed,
	"ReplicationConfigurationNotFoundError": http.StatusNotFound,
	"RequestEntityTooLarge":                 http.StatusRequestEntityTooLarge,
	"RequestTimeTooSkewed":                  http.StatusForbidden,
	"SignatureDoesNotMatch":                 http.StatusForbidden,
}

// A failure is an error in the form in which it is sent.
type failure struct {
	code    string
	message string
	status  int
	ours    bool // the engine's fault, not the caller's
}

// describe converts any error to a failure, with the code of the given dialect.
// An error that is not a smithy API error is reported as an internal failure.
func describe(err error, words dialect) failure {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return failure{code: "InternalFailure", message: err.Error(), status: http.StatusInternalServerError, ours: true}
	}
	f := failure{code: api.ErrorCode(), message: api.ErrorMessage(), status: http.StatusBadRequest}
	if translated, ok := words[f.code]; ok {
		f.code = translated
	}
	if status, ok := statuses[f.code]; ok {
		f.status = status
	}
	if api.ErrorFault() == smithy.FaultServer {
		f.status, f.ours = http.StatusInternalServerError, true
	}
	return f
}

func clientError(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// writeRESTError writes err in the format of S3's REST-XML. The response to
// HEAD has no body, so the client gets only the status.
func writeRESTError(w http.ResponseWriter, r *http.Request, err error) {
	f := describe(err, restDialect)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.status)
	if r.Method == http.MethodHead {
		return
	}
	body := struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId string
	}{Code: f.code, Message: f.message, Resource: r.URL.Path, RequestId: w.Header().Get("x-amz-request-id")}
	fmt.Fprint(w, xml.Header)
	xml.NewEncoder(w).Encode(body) //nolint:errcheck // the client is gone
}
