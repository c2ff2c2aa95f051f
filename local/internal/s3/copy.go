package s3

import (
	"cmp"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// copySource is the header that makes a CopyObject of a PutObject.
const copySource = "X-Amz-Copy-Source"

// copiedPart is what asks for a part of an upload that is copied.
const copiedPart = "uploadId with " + copySource

// copyObject answers CopyObject, which needs s3:GetObject on the source
// besides. The copy has the source's metadata unless the directive says
// REPLACE, and an encryption and ETag of its own.
func (s *Service) copyObject(w http.ResponseWriter, r request) error {
	condition, err := conditionOf(r)
	if err != nil {
		return err
	}
	bucket, key, version, err := sourceOf(r)
	if err != nil {
		return err
	}
	replaced := r.Header.Get("X-Amz-Metadata-Directive") == "REPLACE"
	if bucket == r.bucket && key == r.key && version == "" && !replaced && r.Header.Get(encryptionHeader) == "" {
		return failure("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	headers, err := s.headersOf(r)
	if err != nil {
		return err
	}
	file, source, err := s.open(bucket, key, version)
	if err != nil {
		return err
	}
	defer file.Close()
	if !replaced {
		encryption := headers
		headers = maps.Clone(source.Headers)
		for _, name := range []string{encryptionHeader, keyHeader} {
			delete(headers, name)
			if value := encryption[name]; value != "" {
				headers[name] = value
			}
		}
	}
	o, err := s.write(file, checksumOf(r, source))
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
	setEncryption(w.Header(), headers)
	answer := struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag, LastModified string
		checksumFields
	}{ETag: quote(o.ETag), LastModified: o.Modified.Format(timeFormat), checksumFields: fieldsOf(o)}
	return writeXML(w, answer)
}

// sourceOf reads the source of a copy: bucket, key and version, escaped as in
// an address.
func sourceOf(r request) (bucket, key, version string, err error) {
	header := r.Header.Get(copySource)
	path, rest, _ := strings.Cut(header, "?")
	query, err := url.ParseQuery(rest)
	if err != nil {
		return "", "", "", failure("InvalidArgument", "Copy Source has the parameters %q, which cannot be read", rest)
	}
	for name := range query {
		if name != "versionId" {
			return "", "", "", failure("NotImplemented", "the local engine does not implement %s of %s", name, copySource)
		}
	}
	path, err = url.PathUnescape(path)
	bucket, key, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !found || key == "" {
		return "", "", "", failure("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey. It is %q", header)
	}
	return bucket, key, query.Get("versionId"), nil
}

// checksumOf returns the name of the checksum that a copy gets: the one asked
// for, else the source's.
func checksumOf(r request, source object) string {
	if algorithm := r.Header.Get("X-Amz-Checksum-Algorithm"); algorithm != "" {
		return checksumName(algorithm)
	}
	for name := range source.Checksum {
		return name
	}
	return ""
}

// write writes what it reads to a new file, with the checksum of that name, or
// with none.
func (s *Service) write(from io.Reader, checksum string) (object, error) {
	file, err := s.newFile()
	if err != nil {
		return object{}, err
	}
	o := object{File: filepath.Base(file.Name())}
	sums := sumsWith(checksum)
	o.Size, err = io.Copy(io.MultiWriter(file, sums), from)
	if err := cmp.Or(err, file.Close()); err != nil {
		return object{}, errors.Join(err, s.removeFile(o.File))
	}
	o.ETag, o.Checksum, o.Modified = hex.EncodeToString(sums.md5.Sum(nil)), sums.stored(), s.Clock.Now().UTC()
	return o, nil
}
