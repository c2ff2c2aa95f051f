package s3

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

const (
	maxParts = 10_000
	minPart  = 5 << 20 // S3's least size of a part, in bytes; the last part may be smaller
)

func partKey(id string, number int) string { return fmt.Sprintf("%s/%05d", id, number) }

func (s *Service) createUpload(w http.ResponseWriter, r request) error {
	headers, err := s.headersOf(r)
	if err != nil {
		return err
	}
	id, u := rand.Text(), upload{Bucket: r.bucket, Key: r.key, Headers: headers}
	if err := u.chooseChecksum(r.Header); err != nil {
		return err
	}
	if err := s.uploads.Put(id, u); err != nil {
		return err
	}
	setEncryption(w.Header(), headers)
	if u.Checksum != "" {
		w.Header().Set("x-amz-checksum-algorithm", strings.ToUpper(r.Header.Get("X-Amz-Checksum-Algorithm")))
		w.Header().Set("x-amz-checksum-type", u.Type)
	}
	return writeXML(w, struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: r.bucket, Key: r.key, UploadId: id})
}

// uploadOf returns the upload that a request names, which must be for its
// bucket and key.
func (s *Service) uploadOf(r request) (string, upload, error) {
	id := r.query.Get("uploadId")
	u, found, err := s.uploads.Get(id)
	if err == nil && (!found || u.Bucket != r.bucket || u.Key != r.key) {
		err = failure("NoSuchUpload", "The specified upload does not exist: %s", id)
	}
	return id, u, err
}

func (s *Service) uploadPart(w http.ResponseWriter, r request) error {
	id, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	number, err := r.partNumber()
	if err != nil {
		return err
	}
	part, err := s.store(r.Request)
	if err != nil {
		return err
	}
	if u.Type == composite && part.Checksum[u.Checksum] == "" {
		return errors.Join(failure("InvalidRequest", "Checksum Type mismatch occurred: the upload was created with %s, which every part must have", u.Checksum), s.removeFile(part.File))
	}
	if err := s.putPart(id, number, part); err != nil {
		return err
	}
	for name, sum := range part.Checksum {
		w.Header().Set(name, sum)
	}
	w.Header().Set("ETag", quote(part.ETag))
	return nil
}

func (r request) partNumber() (int, error) {
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return 0, failure("InvalidArgument", "Part number must be an integer between 1 and %d, inclusive", maxParts)
	}
	return number, nil
}

// putPart keeps a part, and removes the file of the one that it replaces.
func (s *Service) putPart(id string, number int, part object) error {
	var old object
	_, err := s.parts.Update(partKey(id, number), func(was object, _ bool) (object, error) {
		old = was
		return part, nil
	})
	return errors.Join(err, s.removeFile(old.File))
}

// copyPart answers UploadPartCopy: the part is an object, or a range of a large
// one.
func (s *Service) copyPart(w http.ResponseWriter, r request) error {
	id, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	number, err := r.partNumber()
	if err != nil {
		return err
	}
	bucket, key, version, err := sourceOf(r)
	if err != nil {
		return err
	}
	file, source, err := s.open(bucket, key, version)
	if err != nil {
		return err
	}
	defer file.Close()
	from, err := rangeOf(file, source.Size, r.Header.Get(copyRange))
	if err != nil {
		return err
	}
	part, err := s.write(from, u.Checksum)
	if err != nil {
		return err
	}
	if err := s.putPart(id, number, part); err != nil {
		return err
	}
	return writeXML(w, struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
		ETag, LastModified string
		checksumFields
	}{ETag: quote(part.ETag), LastModified: part.Modified.Format(timeFormat), checksumFields: fieldsOf(part)})
}

// copyRange is the header that makes a part of a range of its source.
const copyRange = "X-Amz-Copy-Source-Range"

var copyRangeForm = lazyregexp.New(`^bytes=(\d{1,18})-(\d{1,18})$`)

// rangeOf returns the bytes of a source that a range names, all of them if it
// is empty. S3 copies ranges of objects above 5 MiB only (UploadPartCopy in the
// API reference).
func rangeOf(file io.ReaderAt, size int64, header string) (io.Reader, error) {
	if header == "" {
		return io.NewSectionReader(file, 0, size), nil
	}
	match := copyRangeForm().FindStringSubmatch(header)
	if match == nil {
		return nil, failure("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy. It is %q", header)
	}
	first, _ := strconv.ParseInt(match[1], 10, 64) // the form has no number that fails
	last, _ := strconv.ParseInt(match[2], 10, 64)
	switch {
	case size <= minPart:
		return nil, failure("InvalidRequest", "The specified copy source is not supported as a byte-range copy source: it has %d bytes, and must have more than %d", size, minPart)
	case first > last || last >= size:
		return nil, failure("InvalidArgument", "Range specified is not valid for source object of size: %d", size)
	}
	return io.NewSectionReader(file, first, last-first+1), nil
}

func (s *Service) abortUpload(w http.ResponseWriter, r request) error {
	id, _, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	if err := s.dropUpload(id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropUpload removes an upload with its parts.
func (s *Service) dropUpload(id string) error {
	parts, err := s.parts.List(id + "/")
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := s.removeFile(p.Value.File); err != nil {
			return err
		}
	}
	return errors.Join(s.parts.DeletePrefix(id+"/"), s.uploads.Delete(id))
}

// A completedPart is a part as CompleteMultipartUpload names it.
type completedPart struct {
	PartNumber int
	ETag       string
	checksumFields
}

func (s *Service) completeUpload(w http.ResponseWriter, r request) error {
	condition, err := conditionOf(r)
	if err != nil {
		return err
	}
	id, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	list, err := readPartList(r)
	if err != nil {
		return err
	}
	parts, err := s.partsOf(id, u, list)
	if err != nil {
		return err
	}
	whole, err := s.join(parts, u)
	if err != nil {
		return err
	}
	whole.Headers = u.Headers
	if err := checkWhole(r.Header, whole); err != nil {
		return errors.Join(err, s.removeFile(whole.File))
	}
	if want := r.Header.Get("X-Amz-Mp-Object-Size"); want != "" && want != strconv.FormatInt(whole.Size, 10) {
		return errors.Join(failure("InvalidRequest", "The object has %d bytes, and x-amz-mp-object-size says %s", whole.Size, want), s.removeFile(whole.File))
	}
	whole, err = s.replace(r.bucket, r.key, whole, condition)
	if err := errors.Join(err, s.dropUpload(id)); err != nil {
		return err
	}
	if err := s.setVersion(w.Header(), r.bucket, whole); err != nil {
		return err
	}
	setEncryption(w.Header(), u.Headers)
	return writeXML(w, struct {
		XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location, Bucket, Key, ETag string
		checksumFields
	}{Location: "http://" + r.Host + r.URL.Path, Bucket: r.bucket, Key: r.key, ETag: quote(whole.ETag), checksumFields: fieldsOf(whole)})
}

// readPartList reads the caller's list of parts. The checksums in the headers
// are of the object and not of the list.
func readPartList(r request) ([]completedPart, error) {
	plain := r.Clone(r.Context())
	for name := range checksums {
		plain.Header.Del(name)
	}
	text, err := document(plain)
	if err != nil {
		return nil, err
	}
	var list struct {
		Part []completedPart
	}
	if err := xml.Unmarshal(text, &list); err != nil {
		return nil, failure("MalformedXML", "The list of parts is not the XML that it should be: %v", err)
	}
	return list.Part, nil
}

// partsOf checks the caller's list of parts against what was uploaded.
func (s *Service) partsOf(id string, u upload, list []completedPart) ([]object, error) {
	if len(list) == 0 {
		return nil, failure("MalformedXML", "You must specify at least one part")
	}
	for i := range list[1:] {
		if list[i].PartNumber >= list[i+1].PartNumber {
			return nil, failure("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
	}
	parts := make([]object, len(list))
	for i, c := range list {
		part, found, err := s.parts.Get(partKey(id, c.PartNumber))
		if err != nil {
			return nil, err
		}
		if !found || strings.Trim(c.ETag, `"`) != part.ETag || !c.agrees(part) {
			return nil, failure("InvalidPart", "Part %d could not be found, or its ETag or checksum is not that of what was uploaded.", c.PartNumber)
		}
		if u.Type == composite && c.byName()[u.Checksum] == "" {
			return nil, failure("InvalidRequest", "The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.", strings.TrimPrefix(u.Checksum, checksumPrefix), c.PartNumber)
		}
		if i < len(list)-1 && part.Size < minPart {
			return nil, failure("EntityTooSmall", "Part %d has %d bytes; every part but the last must have at least %d", c.PartNumber, part.Size, minPart)
		}
		parts[i] = part
	}
	return parts, nil
}

// agrees reports whether the checksums that the caller gives for a part are
// those of its upload, as far as both have one.
func (c completedPart) agrees(part object) bool {
	given := c.byName()
	for name, sum := range part.Checksum {
		if given[name] != "" && given[name] != sum {
			return false
		}
	}
	return true
}

// join writes the parts to a new file. The ETag of the whole is the MD5 of the
// parts' MD5s and their number, as in S3.
func (s *Service) join(parts []object, u upload) (object, error) {
	file, err := s.newFile()
	if err != nil {
		return object{}, err
	}
	whole := object{File: filepath.Base(file.Name()), Modified: s.Clock.Now().UTC()}
	etag, sums := md5.New(), sumsWith(u.Checksum)
	for _, part := range parts {
		n, copyErr := s.appendTo(file, part, u.summed(sums, part))
		sum, hexErr := hex.DecodeString(part.ETag)
		etag.Write(sum)
		whole.Size += n
		err = errors.Join(err, copyErr, hexErr)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return object{}, errors.Join(err, s.removeFile(whole.File))
	}
	whole.ETag = fmt.Sprintf("%s-%d", hex.EncodeToString(etag.Sum(nil)), len(parts))
	whole.Checksum = sums.stored()
	if u.Type == composite {
		whole.Checksum[u.Checksum] += fmt.Sprintf("-%d", len(parts))
	}
	return whole, nil
}

// appendTo appends a part's bytes to the file, and writes them to sums.
func (s *Service) appendTo(file *os.File, part object, sums io.Writer) (int64, error) {
	in, err := os.Open(s.path(part.File))
	if err != nil {
		return 0, err
	}
	defer in.Close()
	return io.Copy(io.MultiWriter(file, sums), in)
}
