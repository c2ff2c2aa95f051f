package local

import (
	"io"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// An httpClient is the SDK's own, less a fault that the loopback interface brings out. smithy-go (v1.28.9) closes a
// request's body when the answer arrives, and from then on the body's WriteTo returns io.EOF. net/http asks the body
// once more after it has sent all of it; an engine that answers before that makes it see a failed write, and it closes
// the connection under the answer that is being read: "use of closed network connection". Without its WriteTo the body
// is asked by Read, which ends as it should.
type httpClient struct{ sdk *awshttp.BuildableClient }

// Do implements aws.HTTPClient.
func (c httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(r.Context()) // a copy
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.sdk.Do(r)
}
