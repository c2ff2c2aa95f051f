package fleetbench

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// askBuilds is the operation that returns the states of builds.
const askBuilds = "BatchGetBuilds"

// statusQuota is how many BatchGetBuilds calls a second the account takes. AWS
// does not publish that quota: 10 is an assumption.
const statusQuota = 10

// quotas are calls a second of the whole account. CloudWatch Logs takes 10
// GetLogEvents calls in many regions and 25 in others, and 5 to 25
// FilterLogEvents calls: the lower ones are taken here.
var quotas = map[string]float64{
	askBuilds:         statusQuota,
	"GetLogEvents":    10,
	"FilterLogEvents": 5,
}

// account is an engine with simulated builds behind a network that takes time
// and quotas that hold. It lives in a bubble of testing/synctest.
type account struct {
	direct aws.Config // past network and quotas
	config aws.Config // what those who watch use
	calls  *counter
}

// newAccount makes an account with the part-th part of the quotas.
func newAccount(t *testing.T, f *fleet, part int, far bool) *account {
	t.Helper()
	engine := localtest.New(t, localtest.InMemory(), localtest.WithConcurrency(len(f.plans)), withLogLag, localtest.SimulateBuilds(f.build))
	engine.Deploy(t, buildspec.StackName, localtest.WithoutBuildspec(t, flexbuild.Template))
	limits := &localtest.Faults{Quotas: map[string]float64{}}
	for operation, perSecond := range quotas {
		limits.Quotas[operation] = perSecond / float64(part)
	}
	limited := limits.Config(engine.Config())
	calls := &counter{next: limited.HTTPClient, shortest: near, made: map[string]int{}, throttled: map[string]int{}}
	if far {
		calls.shortest = overseas
	}
	a := &account{direct: engine.Config(), config: limited, calls: calls}
	a.config.HTTPClient = a.calls
	return a
}

// withLogLag makes lines readable half a second to two seconds after they were
// written, and every hundredth one after eight.
func withLogLag(o *local.Options) {
	o.LogDelay = func(stream string, event uint64) time.Duration {
		seed := event
		for _, c := range stream {
			seed = seed*31 + uint64(c)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		if random.IntN(100) == 0 {
			return 8 * time.Second
		}
		return 500*time.Millisecond + time.Duration(random.Int64N(int64(1500*time.Millisecond)))
	}
}

// counter counts the calls, and makes each of them take the time that a call to
// AWS takes.
type counter struct {
	next     aws.HTTPClient
	shortest time.Duration // of the calls

	mu        sync.Mutex
	made      map[string]int // by operation
	throttled map[string]int
}

// A call takes from 50 to 150 ms, or from 250 to 350 ms where the service is
// far away.
const (
	near       = 50 * time.Millisecond
	overseas   = 250 * time.Millisecond
	callSpread = 100 * time.Millisecond
)

// Do implements aws.HTTPClient.
func (c *counter) Do(r *http.Request) (*http.Response, error) {
	half := (c.shortest + rand.N(callSpread)) / 2
	if err := sleep(r.Context(), half); err != nil {
		return nil, err
	}
	answer, err := c.next.Do(r)
	if err != nil {
		return nil, err
	}
	throttled, err := isThrottled(answer)
	if err != nil {
		return nil, err
	}
	c.count(r.Header.Get("X-Amz-Target"), throttled)
	return answer, sleep(r.Context(), half)
}

func (c *counter) count(target string, throttled bool) {
	_, operation, _ := strings.Cut(target, ".")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[operation]++
	if throttled {
		c.throttled[operation]++
	}
}

// isThrottled reads an error's body, and leaves it as it was.
func isThrottled(answer *http.Response) (bool, error) {
	if answer.StatusCode == http.StatusOK {
		return false, nil
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return bytes.Contains(body, []byte("ThrottlingException")), err
}

// sleep waits for d or the context's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
