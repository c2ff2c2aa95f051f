package wire

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
)

// queryProtocol is AWS Query: a form with the parameters Action and Version,
// and a response in XML.
type queryProtocol struct{ *Handler }

func (p queryProtocol) serve(r *http.Request, w *response) error {
	w.Header().Set("x-amzn-RequestId", w.requestID)
	claim, err := p.identify(r)
	if err != nil {
		return err
	}
	s, ok := p.query[claim.authorization.service]
	if !ok {
		return clientError("UnknownOperationException", "the local engine does not implement %s", claim.authorization.service)
	}
	body, err := p.readBody(r, s.name)
	if err != nil {
		return err
	}
	form, err := parseForm(r, body)
	if err != nil {
		return err
	}
	name := form.Get("Action")
	ctx, err := p.authenticate(r, s.name, hashOf(body))
	if err != nil {
		return err
	}
	if version := form.Get("Version"); version != s.version {
		return clientError("UnknownOperationException", "the local engine implements version %s of %s, and the request is for version %q", s.version, s.name, version)
	}
	op, ok := s.operations[name]
	if !ok {
		return clientError("UnknownOperationException", "the local engine does not implement %s:%s", s.name, name)
	}
	input := op.NewInput()
	if err := DecodeQuery(form, input); err != nil {
		return clientError("ValidationError", "%s:%s: %v", s.name, name, err)
	}
	if err := s.check(input, queryNames); err != nil {
		return err
	}
	output, err := p.call(ctx, s, op, input)
	if err != nil {
		return err
	}
	answer, err := EncodeQuery(output, name, s.namespace, w.requestID)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/xml")
	_, err = w.Write(answer)
	return err
}

// parseForm returns the parameters of the URL and of the body together.
func parseForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, clientError("MalformedQueryString", "the request's body is not a form: %v", err)
	}
	for name, values := range r.URL.Query() {
		form[name] = append(form[name], values...)
	}
	return form, nil
}

func (p queryProtocol) fail(w *response, r *http.Request, err error) {
	f := describe(err, queryDialect)
	type detail struct{ Type, Code, Message string }
	body := struct {
		XMLName   xml.Name
		Error     detail
		RequestID string `xml:"RequestId"`
	}{XMLName: xml.Name{Space: p.query[scopeOf(r)].namespace, Local: "ErrorResponse"}, RequestID: w.requestID}
	body.Error = detail{Type: "Sender", Code: f.code, Message: f.message}
	if f.ours {
		body.Error.Type = "Receiver"
	}
	var b bytes.Buffer
	xml.NewEncoder(&b).Encode(body) //nolint:errcheck // four strings always encode
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(f.status)
	w.Write(b.Bytes()) //nolint:errcheck // the client is gone
}
