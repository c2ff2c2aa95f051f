package runner

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// How long a call is repeated depends on what its failure says of the address.
func TestPatienceFollowsTheFailure(t *testing.T) {
	inOtherWords := func(status int) error {
		return &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      errors.New("<html>"),
		}
	}
	for name, test := range map[string]struct {
		err  error
		want time.Duration // 0: the call is not repeated
	}{
		"nothing listens":             {&smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, dialPatience},
		"an unknown host":             {&smithyhttp.RequestSendError{Err: &net.DNSError{Err: "no such host"}}, dialPatience},
		"a broken connection":         {&smithyhttp.RequestSendError{Err: &net.OpError{Op: "read", Err: errors.New("reset")}}, retryPatience},
		"another server's answer":     {inOtherWords(404), strangePatience},
		"a proxy without its service": {inOtherWords(502), retryPatience},
		"throttled":                   {throttled(), retryPatience},
		"an outage":                   {outage(), retryPatience},
		"denied":                      {denied(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var at []time.Duration
				c := &calls{log: slog.New(slog.DiscardHandler)}
				err := c.retry(t.Context(), "Any", func(context.Context) error {
					at = append(at, time.Since(began))
					return test.err
				})
				took := time.Since(began)
				if !errors.Is(err, test.err) || took > test.want || took < test.want-1100*time.Millisecond {
					t.Errorf("%d calls in %v, want %v: %v", len(at), took, test.want, err)
				}
				if test.want > 0 && (len(at) < 3 || at[1] == 0 || at[1] > 251*time.Millisecond) {
					t.Errorf("calls at %v", at)
				}
				if test.want == 0 && len(at) != 1 {
					t.Errorf("calls at %v, want one", at)
				}
			})
		})
	}
}
