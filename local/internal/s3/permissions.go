package s3

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// CheckPolicy fails for a bucket policy that the engine would not enforce. It
// enforces those that deny something by the condition keys that a request has
// here.
func CheckPolicy(document json.RawMessage) error {
	return iam.CheckResourcePolicy(document, iam.Keys{
		"s3:ResourceAccount": nil, "s3:prefix": nil, "s3:delimiter": nil, "s3:if-none-match": nil, "s3:ObjectCreationOperation": nil,
	})
}

// PutPolicy sets a bucket's policy, and what is to be enforced of it, which
// CheckPolicy has passed; nil removes them.
func (s *Service) PutPolicy(name string, document, enforced json.RawMessage) error {
	return s.changeBucket(name, func(b *bucket) { b.Document, b.Policy = document, enforced })
}

// need returns the permission to do something in a bucket, which the bucket's
// policy may deny. A call of S3 has these condition keys besides everybody's:
// all buckets are the one account's.
func (s *Service) need(bucket, action, resource string, keys ...iam.Keys) (iam.Permission, error) {
	all := iam.Keys{"s3:ResourceAccount": {iam.AccountID}}
	for _, more := range keys {
		maps.Copy(all, more)
	}
	b, _, err := s.buckets.Get(bucket)
	return iam.Permission{Action: action, Resource: resource, Keys: all, Policy: b.Policy}, err
}

// needs returns what the caller of an operation needs. DeleteObjects needs a
// permission for each object that it deletes.
func (s *Service) needs(r request, op operation) ([]iam.Permission, error) {
	if op.action == "" {
		return nil, nil
	}
	own, err := s.need(r.bucket, ofVersion(op.action, r.query.Get("versionId")), r.resource(), r.conditionKeys(op))
	if err != nil {
		return nil, err
	}
	needs := []iam.Permission{own}
	if op.copies() {
		bucket, key, version, err := sourceOf(r)
		if err != nil {
			return nil, err
		}
		source, err := s.need(bucket, ofVersion("s3:GetObject", version), objectARN(bucket, key))
		if err != nil {
			return nil, err
		}
		needs = append(needs, source)
	}
	keys, err := s.needsOfKeys(r, op)
	return append(needs, keys...), err
}

// ofVersion returns the action that takes the place of an object's if a request
// names a version.
func ofVersion(action, version string) string {
	if version != "" && (action == "s3:GetObject" || action == "s3:DeleteObject") {
		return action + "Version"
	}
	return action
}

// needsOfKeys returns what the caller must be able to do with the KMS keys of
// the objects that an operation reads or writes. Writing one takes both actions
// here, although S3 may need kms:Decrypt only where it has a bucket key or
// parts: the Amazon S3 user guide asks for both ("Using server-side encryption
// with AWS KMS keys").
func (s *Service) needsOfKeys(r request, op operation) ([]iam.Permission, error) {
	var read, written string
	var err error
	switch op.name {
	case "GetObject":
		o, _, err := s.find(r.bucket, r.key, r.query.Get("versionId"))
		if err != nil {
			return nil, err
		}
		read = o.Headers[keyHeader]
	case "CopyObject":
		if read, err = s.keyOfSource(r); err != nil {
			return nil, err
		}
		written = s.keyOf(r)
	case "PutObject", "CreateMultipartUpload":
		written = s.keyOf(r)
	case "UploadPart", "CompleteMultipartUpload":
		u, _, err := s.uploads.Get(r.query.Get("uploadId"))
		if err != nil {
			return nil, err
		}
		read, written = u.Headers[keyHeader], u.Headers[keyHeader]
	case "UploadPartCopy":
		u, _, err := s.uploads.Get(r.query.Get("uploadId"))
		if err != nil {
			return nil, err
		}
		if read, err = s.keyOfSource(r); err != nil {
			return nil, err
		}
		written = u.Headers[keyHeader]
	}
	needs := iam.UseKey("Decrypt", read, "s3", s.Region)
	if written != read {
		needs = append(needs, iam.UseKey("Decrypt", written, "s3", s.Region)...)
	}
	return append(needs, iam.UseKey("GenerateDataKey", written, "s3", s.Region)...), nil
}

// keyOfSource returns the key of the object that a request copies.
func (s *Service) keyOfSource(r request) (string, error) {
	bucket, key, version, err := sourceOf(r)
	if err != nil {
		return "", err
	}
	o, _, err := s.find(bucket, key, version)
	return o.Headers[keyHeader], err
}

// keyOf returns the key that encrypts the object of a request. If the request
// asks for an encryption that does not exist, the operation refuses it.
func (s *Service) keyOf(r request) string {
	headers, err := s.encryptionOf(r)
	if err != nil {
		return ""
	}
	return headers[keyHeader]
}

// authorize fails unless the principal of ctx may do something with an object.
func (s *Service) authorize(ctx context.Context, bucket, action, key string) error {
	need, err := s.need(bucket, action, objectARN(bucket, key))
	if err != nil {
		return err
	}
	return s.IAM.Authorize(ctx, need)
}

// conditionKeys are those that follow from the request itself. One that the
// request does not set has no value.
func (r request) conditionKeys(op operation) iam.Keys {
	keys := iam.Keys{
		"s3:prefix": nil, "s3:delimiter": nil,
		"s3:if-none-match":           r.Header.Values("If-None-Match"),
		"s3:ObjectCreationOperation": op.creates(),
	}
	for _, name := range []string{"prefix", "delimiter"} {
		if r.query.Has(name) {
			keys["s3:"+name] = []string{r.query.Get(name)}
		}
	}
	return keys
}

// creates reports whether an operation that needs s3:PutObject makes the
// object. The others of an upload in parts do not, and take no If-None-Match
// (Amazon S3 user guide, "Enforce conditional writes on Amazon S3 buckets").
func (op operation) creates() []string {
	switch {
	case op.action != "s3:PutObject":
		return nil
	case op.name == "PutObject", op.name == "CopyObject", op.name == "CompleteMultipartUpload":
		return []string{"true"}
	}
	return []string{"false"}
}
