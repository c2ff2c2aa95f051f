package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// maxKeys is the largest page of a list, and the default.
const maxKeys = 1000

const timeFormat = "2006-01-02T15:04:05.000Z"

func (s *Service) listBuckets(w http.ResponseWriter, _ request) error {
	entries, err := s.buckets.List("")
	if err != nil {
		return err
	}
	type listed struct{ Name, CreationDate string }
	answer := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner   struct{ ID string }
		Buckets []listed `xml:"Buckets>Bucket"`
	}{}
	answer.Owner.ID = iam.AccountID
	for _, e := range entries {
		answer.Buckets = append(answer.Buckets, listed{e.Key, e.Value.Created.Format(timeFormat)})
	}
	return writeXML(w, answer)
}

func (s *Service) headBucket(w http.ResponseWriter, _ request) error {
	w.Header().Set("x-amz-bucket-region", s.Region)
	return nil
}

// getBucketLocation answers with the region, which S3 leaves out for us-east-1.
func (s *Service) getBucketLocation(w http.ResponseWriter, _ request) error {
	answer := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: s.Region}
	if s.Region == "us-east-1" {
		answer.Region = ""
	}
	return writeXML(w, answer)
}

type listedObject struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

type listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix          string
	Delimiter             string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              *int    `xml:",omitempty"` // version 2 only
	Marker                *string `xml:",omitempty"` // version 1 only
	NextMarker            string  `xml:",omitempty"`
	EncodingType          string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	IsTruncated           bool
	Contents              []listedObject
	CommonPrefixes        []commonPrefix

	bucket string
	count  int    // of objects and common prefixes
	prefix string // Prefix as it was before encoding
	after  string // the last key or common prefix before the page
	encode func(string) string
}

type commonPrefix struct{ Prefix string }

func (s *Service) listObjects(w http.ResponseWriter, r request) error {
	l, err := newListing(r)
	if err != nil {
		return err
	}
	from := objectKey(r.bucket, max(l.after, l.prefix))
	if err := s.objects.Walk(objectKey(r.bucket, l.prefix), from, l.add); err != nil {
		return err
	}
	return writeXML(w, l)
}

func newListing(r request) (*listing, error) {
	q := r.query
	l := &listing{
		Name: r.bucket, Delimiter: q.Get("delimiter"), MaxKeys: maxKeys, EncodingType: q.Get("encoding-type"),
		StartAfter: q.Get("start-after"), ContinuationToken: q.Get("continuation-token"),
		bucket: r.bucket, prefix: q.Get("prefix"), after: q.Get("start-after"),
	}
	l.encode = func(key string) string { return key }
	if l.EncodingType == "url" {
		l.encode = encodeKey
	}
	l.Prefix = l.encode(l.prefix)
	if q.Has("list-type") {
		l.KeyCount = &l.count
	} else {
		l.after = q.Get("marker")
		l.Marker = aws.String(l.encode(l.after))
	}
	if version := q.Get("list-type"); q.Has("list-type") && version != "2" {
		return nil, failure("InvalidArgument", "Invalid List Type specified in the request: %q", version)
	}
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, failure("InvalidArgument", "max-keys is %q, which must be a number from 0 to %d", text, maxKeys)
		}
		l.MaxKeys = min(n, maxKeys)
	}
	if l.ContinuationToken != "" {
		after, err := base64.URLEncoding.DecodeString(l.ContinuationToken)
		if err != nil {
			return nil, failure("InvalidArgument", "The continuation token provided is incorrect")
		}
		l.after = string(after)
	}
	return l, nil
}

// add puts an object, or the common prefix that it is under, into the listing.
// It reports false when the page is full.
func (l *listing) add(e store.Entry[object]) bool {
	key := strings.TrimPrefix(e.Key, objectKey(l.bucket, ""))
	group, grouped := l.group(key)
	if e.Value.Marker || key <= l.after || (grouped && group <= l.after) {
		return true
	}
	if l.count == l.MaxKeys {
		l.truncate()
		return false
	}
	l.count++
	if grouped {
		l.after = group
		l.CommonPrefixes = append(l.CommonPrefixes, commonPrefix{l.encode(group)})
		return true
	}
	l.after = key
	l.Contents = append(l.Contents, listedObject{
		Key: l.encode(key), LastModified: e.Value.Modified.Format(timeFormat), ETag: quote(e.Value.ETag), Size: e.Value.Size, StorageClass: "STANDARD",
	})
	return true
}

// truncate says that there is more, and where to go on. In version 1, S3 says
// where only of a list with a delimiter: else it is behind the last key.
func (l *listing) truncate() {
	l.IsTruncated = l.MaxKeys > 0
	switch {
	case !l.IsTruncated:
	case l.Marker == nil:
		l.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(l.after))
	case l.Delimiter != "":
		l.NextMarker = l.encode(l.after)
	}
}

// group returns the part of key up to the first delimiter behind the prefix, if
// there is one.
func (l *listing) group(key string) (string, bool) {
	if l.Delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(l.prefix):], l.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(l.prefix)+i+len(l.Delimiter)], true
}

// encodeKey percent-encodes a key but for its slashes.
func encodeKey(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}
