package wire

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// plainBody is the SDK's HTTP client for a server as near as the engine. An
// answer can come while net/http is still making sure that a request's body has
// ended. smithy-go (v1.28.9, safeWriteToReadCloser) closes the body then, and
// its WriteTo reports EOF as an error, for which net/http breaks the connection
// in the middle of the answer. A body that can only be read does not have that
// method.
type plainBody struct{ client *awshttp.BuildableClient }

// NewHTTPClient returns what SDK clients of the engine must use.
func NewHTTPClient() aws.HTTPClient { return plainBody{awshttp.NewBuildableClient()} }

// Do implements aws.HTTPClient.
func (c plainBody) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil && request.Body != http.NoBody {
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	return c.client.Do(request)
}
