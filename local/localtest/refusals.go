package localtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// dialError is the error of a client that has no connection.
var dialError = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// refusals are the error codes of AWS: of the services that use JSON, of
// CloudFormation and of S3.
var refusals = map[fault]struct {
	status             int
	json, query, s3    string
	message, s3Message string
}{
	throttled: {http.StatusBadRequest, "ThrottlingException", "Throttling", "SlowDown", "Rate exceeded", "Please reduce your request rate."},
	failed:    {http.StatusInternalServerError, "InternalFailure", "InternalFailure", "InternalError", "", "We encountered an internal error. Please try again."},
	expired:   {http.StatusBadRequest, "ExpiredTokenException", "ExpiredToken", "ExpiredToken", "The security token included in the request is expired", "The provided token has expired."},
}

// refusal returns an error in the form of the request's service.
func refusal(r *http.Request, kind fault) *http.Response {
	words := refusals[kind]
	answer := &http.Response{
		StatusCode: words.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"X-Amzn-Requestid": {"00000000-0000-0000-0000-000000000000"}},
	}
	body := ""
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		answer.Header.Set("Content-Type", "application/x-amz-json-1.1")
		body = fmt.Sprintf(`{"__type":%q,"message":%q}`, words.json, words.message)
	case r.Header.Get("Content-Type") == "application/x-www-form-urlencoded":
		body = fmt.Sprintf(`<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, words.query, words.message)
	default:
		if kind == throttled {
			answer.StatusCode = http.StatusServiceUnavailable
		}
		body = fmt.Sprintf(`<Error><Code>%s</Code><Message>%s</Message></Error>`, words.s3, words.s3Message)
	}
	answer.Status = http.StatusText(answer.StatusCode)
	answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return answer
}
