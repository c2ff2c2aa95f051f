package wire

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// bodyTimeout is how long a body may take to arrive, or, if it is streamed, how
// long its client may send nothing. Clients on the same machine need a fraction
// of a second. S3 closes connections after 20 seconds without a byte.
const bodyTimeout = time.Minute

// limitBody limits how long the body of a request may take. That includes what
// net/http reads of a body that no service wants.
func (h *Handler) limitBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == http.NoBody {
		return // net/http is waiting for the end of the connection already
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.bodyTimeout)) // the connection may be gone
}

// readBody reads the whole body within MaxBody and bodyTimeout. It first checks
// all headers of the signature, so that clients without keys cannot fill the
// memory.
func (h *Handler) readBody(r *http.Request, service string) ([]byte, error) {
	if _, err := h.claimOf(r, service); err != nil {
		return nil, err
	}
	if r.ContentLength > MaxBody {
		return nil, clientError("RequestEntityTooLarge", "the request's body has %d bytes, and at most %d are allowed", r.ContentLength, MaxBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, clientError("IncompleteBody", "read the request's body: %v", err)
	}
	if len(body) > MaxBody {
		return nil, clientError("RequestEntityTooLarge", "the request's body is larger than %d bytes", MaxBody)
	}
	return body, nil
}

// A stream is a body of any length. Its client may not send nothing for longer
// than the limit.
type stream struct {
	io.ReadCloser
	connection *http.ResponseController
	limit      time.Duration
}

// errIdle is S3's error in S3's words.
var errIdle = clientError("RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	_ = s.connection.SetReadDeadline(time.Now().Add(s.limit))
	n, err := s.ReadCloser.Read(p)
	switch {
	case err == io.EOF: // net/http now waits for the end of the connection
		_ = s.connection.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errIdle
	}
	return n, err
}
