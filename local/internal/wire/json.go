package wire

import (
	"encoding/json"
	"net/http"
	"strings"
)

// jsonProtocol is AWS JSON 1.1: POST /, X-Amz-Target names the operation, both
// bodies are JSON.
type jsonProtocol struct{ *Handler }

const jsonType = "application/x-amz-json-1.1"

func (p jsonProtocol) serve(r *http.Request, w *response) error {
	w.Header().Set("x-amzn-RequestId", w.requestID)
	target := r.Header.Get("X-Amz-Target")
	prefix, name, _ := strings.Cut(target, ".")
	s, ok := p.json[prefix]
	if _, err := p.identify(r); err != nil {
		return err
	}
	if !ok {
		return clientError("UnknownOperationException", "the local engine does not implement %s (X-Amz-Target: %s)", scopeOf(r), target)
	}
	body, err := p.readBody(r, s.name)
	if err != nil {
		return err
	}
	ctx, err := p.authenticate(r, s.name, hashOf(body))
	if err != nil {
		return err
	}
	op, ok := s.operations[name]
	if !ok {
		return clientError("UnknownOperationException", "the local engine does not implement %s:%s", s.name, name)
	}
	input := op.NewInput()
	if err := DecodeJSON(body, input); err != nil {
		return clientError("SerializationException", "%s:%s: %v", s.name, name, err)
	}
	if err := s.check(input, jsonNames); err != nil {
		return err
	}
	output, err := p.call(ctx, s, op, input)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, output)
}

func writeJSON(w *response, status int, output any) error {
	body, err := EncodeJSON(output)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

func (p jsonProtocol) fail(w *response, _ *http.Request, err error) {
	f := describe(err, jsonDialect)
	body, _ := json.Marshal(map[string]string{"__type": f.code, "message": f.message}) // two strings always encode
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("X-Amzn-ErrorType", f.code)
	w.WriteHeader(f.status)
	w.Write(body) //nolint:errcheck // the client is gone
}
