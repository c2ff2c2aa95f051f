package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// calls makes the calls to AWS. It gives each call its time limit and counts
// it. The SDK's own retries are switched off for two reasons: all calls of a
// client share one budget of retry tokens, so that throttling of some builds
// would fail others; and the SDK does not know how long the caller is willing
// to wait.
type calls struct {
	credentials *aws.CredentialsCache // nil in tests
	metrics     Metrics
	log         *slog.Logger

	renewing    sync.Mutex
	lastRenewed time.Time
}

const (
	// callTimeout bounds one attempt of a call. A stalled connection does not
	// recover, but another attempt uses another one.
	callTimeout = 10 * time.Second

	// These bound how long a call that may be made twice is repeated. If
	// nothing listens at an address, or if the answer is not in AWS's form, the
	// endpoint is probably wrong, so such calls are given up earlier.
	retryPatience   = 30 * time.Second
	dialPatience    = 3 * time.Second
	strangePatience = 5 * time.Second
)

// errNoAnswer is the error of an attempt that exceeded its time limit.
var errNoAnswer = fmt.Errorf("no answer within %v", callTimeout)

// once makes one attempt of a call.
func (c *calls) once(ctx context.Context, operation string, call func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, callTimeout, errNoAnswer)
	defer cancel()
	return c.observe(ctx, operation, func() error {
		err := call(limited)
		if err != nil && ctx.Err() == nil && limited.Err() != nil {
			return errNoAnswer // the SDK's error says that a context has ended
		}
		return err
	})
}

// observe makes a call that has its own time limit.
func (c *calls) observe(ctx context.Context, operation string, call func() error) error {
	began := time.Now()
	err := call()
	if err != nil && ctx.Err() != nil {
		return err // the caller has left
	}
	c.record(Call{Operation: operation, Duration: time.Since(began), Err: err, Throttled: isThrottle(err)})
	if hasExpired(err) && c.renew(ctx) {
		return renewed{err}
	}
	return err
}

// renewed is the error of a call whose credentials had expired. The call may
// succeed with the credentials that were fetched since.
type renewed struct{ error }

func (r renewed) Unwrap() error { return r.error }

// renew fetches new credentials and reports whether they differ from the old
// ones.
func (c *calls) renew(ctx context.Context) bool {
	if c.credentials == nil {
		return false
	}
	c.renewing.Lock()
	defer c.renewing.Unlock()
	if time.Since(c.lastRenewed) < callTimeout { // by another call that failed at the same time
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	before, _ := c.credentials.Retrieve(ctx)
	c.credentials.Invalidate()
	now, err := c.credentials.Retrieve(ctx)
	if err != nil || now.AccessKeyID == before.AccessKeyID && now.SessionToken == before.SessionToken {
		return false
	}
	c.lastRenewed = time.Now()
	return true
}

func (c *calls) record(call Call) {
	if c.metrics != nil {
		c.metrics.Call(call)
	}
	if call.Err != nil {
		c.log.Debug("call failed", "operation", call.Operation, "took", call.Duration, "error", call.Err)
	}
}

// retry repeats a call that may be made twice. It returns when the call
// succeeds, when its error is permanent, or when the patience or the context
// ends.
func (c *calls) retry(ctx context.Context, operation string, call func(context.Context) error) error {
	began, wait := time.Now(), newBackoff(time.Second)
	for {
		err := c.once(ctx, operation, call)
		if err == nil || ctx.Err() != nil || !isTransient(err) {
			return err
		}
		pause := wait.next()
		if time.Since(began)+pause > patienceFor(err) {
			return err
		}
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

func patienceFor(err error) time.Duration {
	var answer *smithyhttp.ResponseError
	switch {
	case wasNotSent(err):
		return dialPatience
	case errors.As(err, &answer) && answer.HTTPStatusCode() < 500 && causeOf(err) == ErrUnreachable:
		return strangePatience
	}
	return retryPatience
}

// wasNotSent reports whether a call cannot have reached the service because
// there was no connection.
func wasNotSent(err error) bool {
	var network *net.OpError
	var name *net.DNSError
	return errors.As(err, &network) && network.Op == "dial" || errors.As(err, &name)
}

// backoff returns the pauses between attempts. They grow, and they are random
// so that callers which failed together do not retry together.
type backoff struct{ ceiling, most time.Duration }

const firstPause = 250 * time.Millisecond

func newBackoff(most time.Duration) backoff { return backoff{min(firstPause, most), most} }

func (b *backoff) next() time.Duration {
	pause := rand.N(b.ceiling) + time.Millisecond
	b.ceiling = min(2*b.ceiling, b.most)
	return pause
}

// sleep waits for d or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
