package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// maxObject is S3's limit for one PutObject or UploadPart, in bytes.
const maxObject = 5 << 30

// maxDocument bounds a request's XML, in bytes: 10,000 parts with their
// checksums, or 1,000 keys, have less.
const maxDocument = 4 << 20

// checksums are S3's algorithms by header name; each value is base64 of the
// sum.
var checksums = map[string]func() hash.Hash{
	"x-amz-checksum-crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"x-amz-checksum-crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"x-amz-checksum-crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"x-amz-checksum-sha1":      sha1.New,
	"x-amz-checksum-sha256":    sha256.New,
}

// store writes a request's body to a new file and verifies all that the request
// says about it: its length, the signed SHA-256, Content-MD5, and a checksum in
// a header or trailer. On an error no file is left.
func (s *Service) store(r *http.Request) (object, error) {
	length, err := bodyLength(r)
	if err != nil {
		return object{}, err
	}
	body, trailer, err := bodyReader(r)
	if err != nil {
		return object{}, err
	}
	file, err := s.newFile()
	if err != nil {
		return object{}, err
	}
	name := filepath.Base(file.Name())
	sums := newSums(r)
	n, err := io.Copy(io.MultiWriter(file, sums), io.LimitReader(body, length+1))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = failure("IncompleteBody", "The request body ended after %d bytes, and %d were announced", n, length)
	}
	err = errors.Join(err, file.Close())
	if err == nil && n != length {
		err = failure("IncompleteBody", "The request body has %d bytes or more, and %d were announced", n, length)
	}
	if err == nil {
		err = sums.verify(r, trailer)
	}
	if err != nil {
		return object{}, errors.Join(err, s.removeFile(name))
	}
	return object{File: name, Size: n, ETag: hex.EncodeToString(sums.md5.Sum(nil)), Modified: s.Clock.Now().UTC(), Checksum: sums.stored()}, nil
}

// document reads a request's body into memory and verifies all that the request
// says about it. A body of an XML document has no more than maxDocument bytes.
func document(r *http.Request) ([]byte, error) {
	body, trailer, err := bodyReader(r)
	if err != nil {
		return nil, err
	}
	sums := newSums(r)
	text, err := io.ReadAll(io.TeeReader(io.LimitReader(body, maxDocument+1), sums))
	switch {
	case err != nil:
		return nil, failure("IncompleteBody", "Read the request's body: %v", err)
	case len(text) > maxDocument:
		return nil, failure("MalformedXML", "The request's body has more than %d bytes", maxDocument)
	}
	return text, sums.verify(r, trailer)
}

func bodyLength(r *http.Request) (int64, error) {
	length := r.ContentLength
	if isChunked(r) {
		var err error
		if length, err = strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err != nil {
			length = -1
		}
	}
	switch {
	case length < 0:
		return 0, failure("MissingContentLength", "You must provide the Content-Length HTTP header, or X-Amz-Decoded-Content-Length with aws-chunked.")
	case length > maxObject:
		return 0, failure("EntityTooLarge", "Your proposed upload has %d bytes, and at most %d are allowed", length, int64(maxObject))
	}
	return length, nil
}

const (
	unsigned        = "UNSIGNED-PAYLOAD"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

func isChunked(r *http.Request) bool {
	return r.Header.Get("X-Amz-Content-Sha256") == unsignedTrailer
}

// bodyReader returns the body without its aws-chunked coding, and the trailer,
// which is filled when the body has been read.
func bodyReader(r *http.Request) (io.Reader, http.Header, error) {
	kind := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case isChunked(r):
		chunked := newChunkedReader(r.Body)
		return chunked, chunked.trailer, nil
	case strings.HasPrefix(kind, "STREAMING-"):
		return nil, nil, failure("NotImplemented", "the local engine does not implement %s: send a signed or unsigned payload, or %s", kind, unsignedTrailer)
	}
	return r.Body, http.Header{}, nil
}

// sums are the hashes of a body that a request's headers ask for. The MD5 is
// always taken: it is the ETag.
type sums struct {
	io.Writer
	md5, sha256 hash.Hash
	checksum    hash.Hash // nil when the request has none
	name        string    // the checksum's header
}

func newSums(r *http.Request) *sums {
	for name := range checksums {
		if r.Header.Get(name) != "" || strings.EqualFold(r.Header.Get("X-Amz-Trailer"), name) {
			return sumsWith(name)
		}
	}
	return sumsWith("")
}

// sumsWith returns sums with the checksum of that name, or with none.
func sumsWith(name string) *sums {
	s := &sums{md5: md5.New(), sha256: sha256.New(), name: name}
	s.Writer = io.MultiWriter(s.md5, s.sha256)
	if create := checksums[name]; create != nil {
		s.checksum = create()
		s.Writer = io.MultiWriter(s.md5, s.sha256, s.checksum)
	}
	return s
}

var errHashMismatch = failure("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")

func (s *sums) verify(r *http.Request, trailer http.Header) error {
	if want := r.Header.Get("X-Amz-Content-Sha256"); want != unsigned && want != unsignedTrailer {
		if !same(want, hex.EncodeToString(s.sha256.Sum(nil))) {
			return errHashMismatch
		}
	}
	if want := r.Header.Get("Content-Md5"); want != "" && !same(want, encodeSum(s.md5)) {
		return failure("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	if s.checksum == nil {
		return nil
	}
	want := r.Header.Get(s.name)
	if want == "" {
		want = trailer.Get(s.name)
	}
	if !same(want, encodeSum(s.checksum)) {
		return failure("BadDigest", "The %s you specified did not match the calculated checksum.", s.name)
	}
	return nil
}

// stored returns the checksum that is kept with the object.
func (s *sums) stored() map[string]string {
	if s.checksum == nil {
		return nil
	}
	return map[string]string{s.name: encodeSum(s.checksum)}
}

func encodeSum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
