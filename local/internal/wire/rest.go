package wire

import "net/http"

// restProtocol is what is left when a request is neither JSON nor Query: S3.
type restProtocol struct{ *Handler }

func (p restProtocol) serve(r *http.Request, w *response) error {
	w.Header().Set("x-amz-request-id", w.requestID)
	if scope := scopeOf(r); scope != "" && scope != "s3" {
		return clientError("UnknownOperationException", "the local engine does not implement %s (%s %s)", scope, r.Method, r.URL.Path)
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if r.Header.Get("Authorization") != "" && hash == "" {
		return clientError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	ctx, err := p.authenticate(r, "s3", hash)
	if err != nil {
		return err
	}
	p.s3.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

func (p restProtocol) fail(w *response, r *http.Request, err error) { WriteRESTError(w, r, err) }
