package localtest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local"
)

// InMemory makes the engine listen in memory instead of on a port. Only clients
// with its Config reach it. In a bubble of testing/synctest, an engine with
// simulated builds, and its builds, run in the bubble's time.
func InMemory() Option {
	return func(o *local.Options) {
		o.Listener = &memoryListener{incoming: make(chan net.Conn), closed: make(chan struct{})}
	}
}

// WithClockOffset makes the engine's clock differ from this machine's clock by
// d.
func WithClockOffset(d time.Duration) Option {
	return func(o *local.Options) { o.Clock = offsetClock{clockwork.NewRealClock(), d} }
}

type offsetClock struct {
	clockwork.Clock
	offset time.Duration
}

func (c offsetClock) Now() time.Time { return c.Clock.Now().Add(c.offset) }

func (c offsetClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c offsetClock) Until(t time.Time) time.Duration { return t.Sub(c.Now()) }

// memoryListener is a net.Listener whose connections are pipes.
type memoryListener struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// memoryAddr is a loopback address, because images are named after it.
var memoryAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

func (l *memoryListener) Addr() net.Addr { return memoryAddr }

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.incoming:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.incoming <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client returns an HTTP client of the engine. Its idle connections are closed
// with the test.
func (l *memoryListener) client(t testing.TB) *http.Client {
	transport := awshttp.NewBuildableClient().GetTransport()
	transport.DialContext = l.dial
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 100
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: patient{transport}}
}

// patient is a transport that has finished a request before its caller gets the
// answer. Through a pipe, the answer can arrive before the transport has seen
// the end of the request's body. The SDK then closes the body, and the
// transport takes the error for one of the connection, which it closes in the
// middle of the answer.
type patient struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper. In a bubble, the sleep ends when all
// other goroutines are idle.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := p.RoundTripper.RoundTrip(r)
	time.Sleep(time.Nanosecond)
	return answer, err
}
