package wire

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// restProtocol is the protocol of S3. It serves every request that is neither
// JSON nor Query.
type restProtocol struct{ *Handler }

func (p restProtocol) serve(r *http.Request, w *response) error {
	w.Header().Set("x-amz-request-id", w.requestID)
	if scope := scopeOf(r); scope != "" && scope != "s3" {
		return clientError("UnknownOperationException", "the local engine does not implement %s (%s %s)", scope, r.Method, r.URL.Path)
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if isPresigned(r) {
		hash = cmp.Or(hash, "UNSIGNED-PAYLOAD")
	} else if r.Header.Get("Authorization") != "" && hash == "" {
		return clientError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	ctx, err := p.authenticate(r, "s3", hash)
	if err != nil {
		return err
	}
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue) // net/http says it only to those who announce a body
	}
	r = r.WithContext(ctx)
	if isPresigned(r) {
		r = unpresigned(r, hash)
	}
	return p.pass(w, r, p.s3)
}

// unpresigned converts a presigned request to one with an Authorization header.
// Parameters that are signed headers become headers, and the parameters of the
// signature are removed.
func unpresigned(r *http.Request, hash string) *http.Request {
	plain, query := r.Clone(r.Context()), url.Values{}
	for name, values := range r.URL.Query() {
		switch {
		case !strings.HasPrefix(strings.ToLower(name), "x-amz-"):
			query[name] = values
		case !ofSignature[name]:
			plain.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	plain.URL.RawQuery = query.Encode()
	plain.Header.Set("X-Amz-Content-Sha256", hash)
	return plain
}

// ofSignature holds the parameters that a presigned request has instead of an
// Authorization header.
var ofSignature = map[string]bool{
	"X-Amz-Algorithm": true, "X-Amz-Credential": true, "X-Amz-Date": true, "X-Amz-Expires": true,
	"X-Amz-Security-Token": true, "X-Amz-SignedHeaders": true, "X-Amz-Signature": true,
}

func (p restProtocol) fail(w *response, r *http.Request, err error) { writeRESTError(w, r, err) }
