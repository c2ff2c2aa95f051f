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

// PutPolicy sets a bucket's policy, which CheckPolicy has passed; nil removes
// it.
func (s *Service) PutPolicy(name string, document json.RawMessage) error {
	return s.changeBucket(name, func(b *bucket) { b.Policy = document })
}

// authorize reports whether the principal of ctx may do something in a bucket,
// by its own policies and the bucket's. A call of S3 has these condition keys
// besides everybody's: all buckets are the one account's.
func (s *Service) authorize(ctx context.Context, bucket, action, resource string, keys ...iam.Keys) error {
	all := iam.Keys{"s3:ResourceAccount": {iam.AccountID}}
	for _, more := range keys {
		maps.Copy(all, more)
	}
	b, _, err := s.buckets.Get(bucket)
	if err != nil {
		return err
	}
	return s.iam.AuthorizeOn(iam.WithConditionKeys(ctx, all), b.Policy, action, resource)
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
