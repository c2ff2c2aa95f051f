package wire

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// plainBody is the SDK's HTTP client, adapted to a server that answers very
// fast. An answer can arrive while net/http still checks that the request's
// body has ended. smithy-go (v1.28.9, safeWriteToReadCloser) then closes the
// body, and its WriteTo returns EOF as an error, so net/http breaks the
// connection in the middle of the answer. plainBody therefore hides WriteTo.
type plainBody struct{ client *awshttp.BuildableClient }

// NewHTTPClient returns the HTTP client that SDK clients of the engine must
// use.
func NewHTTPClient() aws.HTTPClient { return plainBody{awshttp.NewBuildableClient()} }

// Do implements aws.HTTPClient.
func (c plainBody) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil && request.Body != http.NoBody {
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	return c.client.Do(request)
}
