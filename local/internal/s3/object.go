package s3

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// keptHeaders are the request headers that an object keeps and answers with,
// besides x-amz-meta-…
var keptHeaders = []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control", "Expires"}

func (s *Service) putObject(w http.ResponseWriter, r request) error {
	condition, err := conditionOf(r)
	if err != nil {
		return err
	}
	if condition == ifNew { // before the body is sent; what counts is whether it still holds afterwards
		if o, found, err := s.find(r.bucket, r.key, ""); err != nil || (found && !o.Marker) {
			return cmp.Or(err, errPrecondition)
		}
	}
	headers, err := s.headersOf(r)
	if err != nil {
		return err
	}
	o, err := s.store(r.Request)
	if err != nil {
		return err
	}
	o.Headers = headers
	if o, err = s.replace(r.bucket, r.key, o, condition); err != nil {
		return err
	}
	if err := s.setVersion(w.Header(), r.bucket, o); err != nil {
		return err
	}
	o.setChecksum(w.Header())
	w.Header().Set("ETag", quote(o.ETag))
	setEncryption(w.Header(), headers)
	return nil
}

// setChecksum answers with an object's checksum, if it has one.
func (o object) setChecksum(answer http.Header) {
	for name, sum := range o.Checksum {
		answer.Set(name, sum)
		answer.Set("x-amz-checksum-type", checksumType(sum))
	}
}

// checksumType distinguishes the checksum of parts' checksums, which ends in
// their number, from that of an object's bytes.
func checksumType(sum string) string {
	if strings.Contains(sum, "-") {
		return composite
	}
	return fullObject
}

// A condition is under which an object is written.
type condition int

const (
	always condition = iota
	ifNew            // no object has the key: If-None-Match: *
)

var errPrecondition = failure("PreconditionFailed", "At least one of the pre-conditions you specified did not hold: If-None-Match")

// conditionOf reads the one condition of a write that is implemented.
func conditionOf(r request) (condition, error) {
	switch {
	case r.Header.Get("If-Match") != "":
		return always, failure("NotImplemented", "the local engine does not implement If-Match for writes")
	case r.Header.Get("If-None-Match") == "":
		return always, nil
	case r.Header.Get("If-None-Match") == "*":
		return ifNew, nil
	}
	return always, failure("NotImplemented", "A header you provided implies functionality that is not implemented: If-None-Match other than *")
}

// headersOf returns the headers of a request that its object keeps.
func (s *Service) headersOf(r request) (map[string]string, error) {
	kept, err := s.encryptionOf(r)
	if err != nil {
		return nil, err
	}
	for _, name := range keptHeaders {
		if value := r.Header.Get(name); value != "" {
			kept[name] = value
		}
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			kept[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	// aws-chunked is how the body travelled, not what the object is.
	if coding := withoutChunked(kept["Content-Encoding"]); coding == "" {
		delete(kept, "Content-Encoding")
	} else {
		kept["Content-Encoding"] = coding
	}
	return kept, nil
}

func withoutChunked(coding string) string {
	var rest []string
	for part := range strings.SplitSeq(coding, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
			rest = append(rest, part)
		}
	}
	return strings.Join(rest, ",")
}

// overrides are the parameters by which a caller chooses headers of the answer.
var overrides = map[string]string{
	"response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition",
	"response-content-encoding": "Content-Encoding", "response-content-language": "Content-Language",
	"response-content-type": "Content-Type", "response-expires": "Expires",
}

// getObject answers GetObject and HeadObject; ServeContent does ranges and
// conditions.
func (s *Service) getObject(w http.ResponseWriter, r request) error {
	file, o, err := s.open(r.bucket, r.key, r.query.Get("versionId"))
	if err == nil || o.Marker {
		err = errors.Join(err, s.setVersion(w.Header(), r.bucket, o))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if beyond(r.Header.Get("Range"), o.Size) {
		return failure("InvalidRange", "The requested range %s is not satisfiable: the object has %d bytes", r.Header.Get("Range"), o.Size)
	}
	header := w.Header()
	header.Set("Content-Type", "binary/octet-stream")
	for name, value := range o.Headers {
		if strings.HasPrefix(name, "x-amz-meta-") {
			header[name] = []string{value} // not Set, which would write it with capitals: clients keep the name as it comes
		} else {
			header.Set(name, value)
		}
	}
	for param, name := range overrides {
		if r.query.Has(param) {
			header.Set(name, r.query.Get(param))
		}
	}
	header.Set("ETag", quote(o.ETag))
	// A checksum is of the whole object: with a range, a client would compare
	// it with the part.
	if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && r.Header.Get("Range") == "" {
		o.setChecksum(header)
	}
	if header.Get("Content-Encoding") != "" { // ServeContent leaves the length to us then
		header.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	}
	http.ServeContent(w, r.Request, "", o.Modified, file)
	return nil
}

// beyond reports whether a range of the form "bytes=N-…" begins behind the end.
func beyond(header string, size int64) bool {
	first, _, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	if !ok || first == "" {
		return false
	}
	n, err := strconv.ParseInt(first, 10, 64)
	return err == nil && n >= size
}

func (s *Service) deleteObject(w http.ResponseWriter, r request) error {
	o, err := s.delete(r.bucket, r.key, r.query.Get("versionId"))
	if err != nil {
		return err
	}
	if err := s.setVersion(w.Header(), r.bucket, o); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func quote(etag string) string { return `"` + etag + `"` }
