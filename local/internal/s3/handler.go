package s3

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A request is an HTTP request with the bucket and key that it addresses.
type request struct {
	*http.Request
	bucket, key string
	query       url.Values
}

// An operation answers one kind of request.
type operation struct {
	name   string
	action string   // what the caller must be allowed to do; "" if that depends on the body
	params []string // the query parameters that it understands; another one is refused by name
	run    func(s *Service, w http.ResponseWriter, r request) error
}

// A route is what distinguishes operations: the method, whether a key is
// addressed, and the query parameter or header that asks for something else
// than the object or bucket itself.
type route struct {
	method string
	level  level
	asks   string
}

type level int

const (
	account level = iota
	ofBucket
	ofObject
)

// The query parameters of operations that have several.
var (
	listParams     = []string{"prefix", "delimiter", "max-keys", "encoding-type", "marker"}
	listV2Params   = []string{"list-type", "prefix", "delimiter", "max-keys", "encoding-type", "continuation-token", "start-after", "fetch-owner"}
	versionsParams = []string{"versions", "prefix", "key-marker", "version-id-marker", "max-keys", "encoding-type"}
	getParams      = append(slices.Collect(maps.Keys(overrides)), "versionId")
)

// operations is the table of what is implemented.
var operations = map[route]operation{
	{"GET", account, ""}:            {"ListBuckets", "s3:ListAllMyBuckets", nil, (*Service).listBuckets},
	{"HEAD", ofBucket, ""}:          {"HeadBucket", "s3:ListBucket", nil, (*Service).headBucket},
	{"PUT", ofBucket, ""}:           {"CreateBucket", "s3:CreateBucket", nil, (*Service).createBucket},
	{"DELETE", ofBucket, ""}:        {"DeleteBucket", "s3:DeleteBucket", nil, (*Service).deleteBucket},
	{"GET", ofBucket, "location"}:   {"GetBucketLocation", "s3:GetBucketLocation", []string{"location"}, (*Service).getBucketLocation},
	{"GET", ofBucket, "encryption"}: {"GetBucketEncryption", "s3:GetEncryptionConfiguration", []string{"encryption"}, (*Service).getBucketEncryption},
	{"GET", ofBucket, "list-type"}:  {"ListObjectsV2", "s3:ListBucket", listV2Params, (*Service).listObjects},
	{"GET", ofBucket, ""}:           {"ListObjects", "s3:ListBucket", listParams, (*Service).listObjects},
	{"GET", ofBucket, "versions"}:   {"ListObjectVersions", "s3:ListBucketVersions", versionsParams, (*Service).listVersions},
	{"GET", ofBucket, "versioning"}: {"GetBucketVersioning", "s3:GetBucketVersioning", []string{"versioning"}, (*Service).getBucketVersioning},
	{"PUT", ofBucket, "versioning"}: {"PutBucketVersioning", "s3:PutBucketVersioning", []string{"versioning"}, (*Service).putBucketVersioning},
	{"POST", ofBucket, "delete"}:    {"DeleteObjects", "", []string{"delete"}, (*Service).deleteObjects},
	{"PUT", ofObject, ""}:           {"PutObject", "s3:PutObject", nil, (*Service).putObject},
	{"PUT", ofObject, copySource}:   {"CopyObject", "s3:PutObject", nil, (*Service).copyObject},
	{"GET", ofObject, ""}:           {"GetObject", "s3:GetObject", getParams, (*Service).getObject},
	{"HEAD", ofObject, ""}:          {"HeadObject", "s3:GetObject", getParams, (*Service).getObject},
	{"DELETE", ofObject, ""}:        {"DeleteObject", "s3:DeleteObject", []string{"versionId"}, (*Service).deleteObject},

	{"GET", ofBucket, "tagging"}:        {"GetBucketTagging", "s3:GetBucketTagging", []string{"tagging"}, (*Service).getBucketTagging},
	{"PUT", ofBucket, "tagging"}:        {"PutBucketTagging", "s3:PutBucketTagging", []string{"tagging"}, (*Service).putBucketTagging},
	{"DELETE", ofBucket, "tagging"}:     {"DeleteBucketTagging", "s3:PutBucketTagging", []string{"tagging"}, (*Service).deleteBucketTagging},
	{"GET", ofBucket, "policy"}:         {"GetBucketPolicy", "s3:GetBucketPolicy", []string{"policy"}, (*Service).getBucketPolicy},
	{"GET", ofBucket, "lifecycle"}:      {"GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", []string{"lifecycle"}, (*Service).getLifecycle},
	{"GET", ofBucket, "acl"}:            {"GetBucketAcl", "s3:GetBucketAcl", []string{"acl"}, (*Service).getBucketACL},
	{"GET", ofBucket, "accelerate"}:     {"GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration", []string{"accelerate"}, answer("AccelerateConfiguration", "")},
	{"GET", ofBucket, "logging"}:        {"GetBucketLogging", "s3:GetBucketLogging", []string{"logging"}, answer("BucketLoggingStatus", "")},
	{"GET", ofBucket, "requestPayment"}: {"GetBucketRequestPayment", "s3:GetBucketRequestPayment", []string{"requestPayment"}, answer("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")},
	{"GET", ofBucket, "cors"}:           {"GetBucketCors", "s3:GetBucketCORS", []string{"cors"}, none("NoSuchCORSConfiguration", "The CORS configuration does not exist")},
	{"GET", ofBucket, "website"}:        {"GetBucketWebsite", "s3:GetBucketWebsite", []string{"website"}, none("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")},
	{"GET", ofBucket, "replication"}:    {"GetBucketReplication", "s3:GetReplicationConfiguration", []string{"replication"}, none("ReplicationConfigurationNotFoundError", "The replication configuration was not found")},
	{"GET", ofBucket, "object-lock"}:    {"GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", []string{"object-lock"}, none("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")},

	{"POST", ofObject, "uploads"}:    {"CreateMultipartUpload", "s3:PutObject", []string{"uploads"}, (*Service).createUpload},
	{"PUT", ofObject, "uploadId"}:    {"UploadPart", "s3:PutObject", []string{"uploadId", "partNumber"}, (*Service).uploadPart},
	{"PUT", ofObject, copiedPart}:    {"UploadPartCopy", "s3:PutObject", []string{"uploadId", "partNumber"}, (*Service).copyPart},
	{"POST", ofObject, "uploadId"}:   {"CompleteMultipartUpload", "s3:PutObject", []string{"uploadId"}, (*Service).completeUpload},
	{"DELETE", ofObject, "uploadId"}: {"AbortMultipartUpload", "s3:AbortMultipartUpload", []string{"uploadId"}, (*Service).abortUpload},
}

// subresources are the query parameters that may choose an operation.
var subresources = []string{
	"accelerate", "acl", "cors", "delete", "encryption", "lifecycle", "list-type", "location", "logging", "object-lock", "policy", "replication",
	"requestPayment", "tagging", "uploadId", "uploads", "versioning", "versions", "website",
}

// Route implements wire.RESTService.
func (s *Service) Route(r *http.Request) (needs []iam.Permission, serve func(http.ResponseWriter, *http.Request) error, err error) {
	req, err := parse(r)
	if err != nil {
		return nil, nil, err
	}
	op, err := req.operation()
	if err != nil {
		return nil, nil, err
	}
	if err := req.refuseUnknown(op); err != nil {
		return nil, nil, err
	}
	needs, err = s.needs(req, op)
	return needs, func(w http.ResponseWriter, _ *http.Request) error {
		if req.bucket != "" && op.name != "CreateBucket" {
			if err := s.requireBucket(req.bucket); err != nil {
				return err
			}
		}
		return op.run(s, w, req)
	}, err
}

// parse finds bucket and key in the path, or the bucket in the host:
// bucket.localhost or bucket.s3.localhost.
func parse(r *http.Request) (request, error) {
	req := request{Request: r, query: r.URL.Query()}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if bucket := bucketOfHost(r.Host); bucket != "" {
		req.bucket, req.key = bucket, path
	} else {
		req.bucket, req.key, _ = strings.Cut(path, "/")
	}
	if len(req.key) > 1024 {
		return req, failure("KeyTooLongError", "Your key is too long: %d bytes, and at most 1024 are allowed", len(req.key))
	}
	return req, nil
}

func bucketOfHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	bucket, ok := strings.CutSuffix(host, ".localhost")
	if !ok || bucket == "s3" {
		return ""
	}
	return strings.TrimSuffix(bucket, ".s3")
}

func (r request) operation() (operation, error) {
	key := route{method: r.Method, level: account}
	if r.bucket != "" {
		key.level = ofBucket
	}
	if r.key != "" {
		key.level = ofObject
	}
	for _, name := range subresources {
		if r.query.Has(name) {
			key.asks = name
		}
	}
	if r.Header.Get(copySource) != "" {
		switch key.asks {
		case "":
			key.asks = copySource
		case "uploadId":
			key.asks = copiedPart
		}
	}
	op, ok := operations[key]
	if !ok {
		return op, failure("NotImplemented", "the local engine does not implement S3's %s %s", r.Method, r.URL.RequestURI())
	}
	return op, nil
}

func (r request) resource() string {
	switch {
	case r.bucket == "":
		return "*"
	case r.key == "":
		return bucketARN(r.bucket)
	}
	return objectARN(r.bucket, r.key)
}

// knownHeaders are the x-amz- headers that are understood, by what they may be;
// nil allows any value.
var knownHeaders = map[string][]string{
	"x-amz-acl":                                   {"private", "bucket-owner-full-control"},
	"x-amz-bucket-object-lock-enabled":            {"false"},
	"x-amz-checksum-algorithm":                    nil,
	"x-amz-checksum-mode":                         nil,
	"x-amz-checksum-type":                         nil,
	"x-amz-content-sha256":                        nil,
	"x-amz-copy-source":                           nil,
	"x-amz-copy-source-range":                     nil,
	"x-amz-date":                                  nil,
	"x-amz-decoded-content-length":                nil,
	"x-amz-expected-bucket-owner":                 {iam.AccountID},
	"x-amz-metadata-directive":                    {"COPY", "REPLACE"},
	"x-amz-mp-object-size":                        nil,
	"x-amz-sdk-checksum-algorithm":                nil,
	"x-amz-security-token":                        nil,
	"x-amz-server-side-encryption":                Encryptions,
	"x-amz-server-side-encryption-aws-kms-key-id": nil,
	"x-amz-storage-class":                         {"STANDARD"},
	"x-amz-te":                                    nil,
	"x-amz-trailer":                               nil,
	"x-amz-user-agent":                            nil,
}

// refuseUnknown refuses what the operation would silently ignore.
func (r request) refuseUnknown(op operation) error {
	for name := range r.query {
		if name != "x-id" && !slices.Contains(op.params, name) { // x-id is how SDKs label their requests
			return failure("NotImplemented", "the local engine does not implement the parameter %s of s3:%s", name, op.name)
		}
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, "x-amz-") || strings.HasPrefix(name, "x-amz-meta-") || checksums[name] != nil {
			continue
		}
		values, known := knownHeaders[name]
		misplaced := name == "x-amz-copy-source" && !op.copies() || name == "x-amz-copy-source-range" && op.name != "UploadPartCopy"
		if !known || misplaced || (values != nil && !slices.Contains(values, r.Header.Get(name))) {
			return failure("NotImplemented", "the local engine does not implement the header %s: %s of s3:%s", name, r.Header.Get(name), op.name)
		}
	}
	return nil
}

// copies reports whether the operation reads another object than its own.
func (op operation) copies() bool { return op.name == "CopyObject" || op.name == "UploadPartCopy" }

func writeXML(w http.ResponseWriter, v any) error {
	data, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	_, err = fmt.Fprintf(w, "%s%s", xml.Header, data)
	return err
}
