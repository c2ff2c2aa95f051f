package s3

import (
	"encoding/base64"
	"io"
	"net/http"
	"reflect"
	"strings"
)

const checksumPrefix = "x-amz-checksum-"

// The types of the checksum of an object that was uploaded in parts: over the
// checksums of its parts, or over its bytes.
const (
	composite  = "COMPOSITE"
	fullObject = "FULL_OBJECT"
)

// checksumFields are the elements of requests and answers that hold checksums.
type checksumFields struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

func fieldName(header string) string {
	return "Checksum" + strings.ToUpper(strings.TrimPrefix(header, checksumPrefix))
}

// fieldsOf returns an object's checksum.
func fieldsOf(o object) (fields checksumFields) {
	for name, sum := range o.Checksum {
		reflect.ValueOf(&fields).Elem().FieldByName(fieldName(name)).SetString(sum)
		fields.ChecksumType = checksumType(sum)
	}
	return fields
}

// byName returns the checksums by the name of their header.
func (fields checksumFields) byName() map[string]string {
	given := map[string]string{}
	for name := range checksums {
		given[name] = reflect.ValueOf(fields).FieldByName(fieldName(name)).String()
	}
	return given
}

// checksumName is the header of an algorithm's checksum.
func checksumName(algorithm string) string { return checksumPrefix + strings.ToLower(algorithm) }

// chooseChecksum reads which checksum an upload in parts is to get.
func (u *upload) chooseChecksum(header http.Header) error {
	algorithm, kind := header.Get("X-Amz-Checksum-Algorithm"), header.Get("X-Amz-Checksum-Type")
	if algorithm == "" && kind == "" {
		return nil
	}
	u.Checksum, u.Type = checksumName(algorithm), kind
	usual := composite
	if u.Checksum == checksumName("CRC64NVME") {
		usual = fullObject
	}
	if u.Type == "" {
		u.Type = usual
	}
	possible := u.Type == usual || u.Type == fullObject && strings.HasPrefix(u.Checksum, checksumPrefix+"crc32")
	if checksums[u.Checksum] == nil || !possible {
		return failure("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", u.Type, algorithm)
	}
	return nil
}

// summed returns where a part's bytes go to for the upload's checksum. For a
// composite one, it is the part's checksum that goes into the sum.
func (u upload) summed(sums *sums, part object) io.Writer {
	switch {
	case sums.checksum == nil:
		return io.Discard
	case u.Type == fullObject:
		return sums.checksum
	}
	sum, _ := base64.StdEncoding.DecodeString(part.Checksum[u.Checksum]) // encodeSum wrote it
	sums.checksum.Write(sum)
	return io.Discard
}

// checkWhole compares what a caller says of the object that the parts make with
// what they make.
func checkWhole(header http.Header, whole object) error {
	for name := range checksums {
		want := header.Get(name)
		if want == "" {
			continue
		}
		got := whole.Checksum[name]
		if digest, _, _ := strings.Cut(got, "-"); !same(want, got) && !same(want, digest) {
			return failure("BadDigest", "The %s you specified did not match the calculated checksum.", name)
		}
	}
	return nil
}
