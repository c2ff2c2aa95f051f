package s3

import (
	"cmp"
	"encoding/xml"
	"net/http"
)

// The headers that request an object's encryption, and report it.
const (
	encryptionHeader = "X-Amz-Server-Side-Encryption"
	keyHeader        = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
)

// Encryptions are the algorithms that S3 knows.
var Encryptions = []string{"AES256", "aws:kms", "aws:kms:dsse"}

// An Encryption is how a bucket's objects are to be encrypted. It is kept and
// reported, and there is no KMS: objects lie in the state directory, which its
// owner alone can read.
type Encryption struct {
	Algorithm string // one of Encryptions; AES256 by default, as on AWS since 2023
	KeyID     string // "" for the account's own key
	BucketKey bool
}

// PutEncryption sets how a bucket's objects are encrypted unless a request says
// otherwise.
func (s *Service) PutEncryption(name string, e Encryption) error {
	return s.changeBucket(name, func(b *bucket) { b.Encryption = e })
}

func (s *Service) getBucketEncryption(w http.ResponseWriter, r request) error {
	b, _, err := s.buckets.Get(r.bucket)
	if err != nil {
		return err
	}
	answer := struct {
		XMLName   xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ServerSideEncryptionConfiguration"`
		Algorithm string   `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
		KeyID     string   `xml:"Rule>ApplyServerSideEncryptionByDefault>KMSMasterKeyID,omitempty"`
		BucketKey bool     `xml:"Rule>BucketKeyEnabled"`
	}{Algorithm: cmp.Or(b.Encryption.Algorithm, Encryptions[0]), KeyID: b.Encryption.KeyID, BucketKey: b.Encryption.BucketKey}
	return writeXML(w, answer)
}

// encryptionOf returns the headers that report the encryption of an object to
// come: what the request asks for, else what its bucket says.
func (s *Service) encryptionOf(r request) (map[string]string, error) {
	b, _, err := s.buckets.Get(r.bucket)
	if err != nil {
		return nil, err
	}
	algorithm, key := r.Header.Get(encryptionHeader), r.Header.Get(keyHeader)
	if algorithm == "" && key == "" {
		algorithm, key = cmp.Or(b.Encryption.Algorithm, Encryptions[0]), b.Encryption.KeyID
	}
	headers := map[string]string{encryptionHeader: algorithm}
	if key == "" {
		return headers, nil
	}
	if algorithm == "" || algorithm == Encryptions[0] {
		return nil, failure("InvalidArgument", "%s is given, so %s must be %s or %s", keyHeader, encryptionHeader, Encryptions[1], Encryptions[2])
	}
	headers[keyHeader] = key
	return headers, nil
}

// setEncryption answers with what an object's headers say of its encryption.
func setEncryption(answer http.Header, headers map[string]string) {
	for _, name := range []string{encryptionHeader, keyHeader} {
		if value := headers[name]; value != "" {
			answer.Set(name, value)
		}
	}
}
