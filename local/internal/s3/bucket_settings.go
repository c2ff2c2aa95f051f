package s3

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// createBucket answers CreateBucket, whose location must be the engine's
// region. As on AWS, us-east-1 takes no location, and lets an account create
// its bucket again.
func (s *Service) createBucket(w http.ResponseWriter, r request) error {
	if err := s.checkLocation(r); err != nil {
		return err
	}
	err := s.AddBucket(r.bucket)
	if exists, _ := s.HasBucket(r.bucket); exists && s.Region == "us-east-1" {
		err = nil
	}
	if err == nil {
		w.Header().Set("Location", "/"+r.bucket)
	}
	return err
}

func (s *Service) checkLocation(r request) error {
	text, err := document(r.Request)
	if err != nil {
		return err
	}
	var asked struct {
		LocationConstraint string
		Other              []struct{ XMLName xml.Name } `xml:",any"`
	}
	if len(text) > 0 {
		if err := xml.Unmarshal(text, &asked); err != nil {
			return failure("MalformedXML", "The configuration of the bucket is not the XML that it should be: %v", err)
		}
	}
	place := asked.LocationConstraint
	switch {
	case len(asked.Other) > 0:
		return failure("NotImplemented", "the local engine does not implement %s of s3:CreateBucket", asked.Other[0].XMLName.Local)
	case place == "us-east-1":
		return failure("InvalidLocationConstraint", "The specified location-constraint is not valid: us-east-1 is that of requests without one")
	case place == "" && s.Region != "us-east-1":
		place = "unspecified"
	case place == "" || place == s.Region:
		return nil
	}
	return failure("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", place)
}

func (s *Service) deleteBucket(w http.ResponseWriter, r request) error {
	if err := s.DeleteBucket(r.bucket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A tagSet is the tags of a bucket as XML.
type tagSet struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

type tag struct{ Key, Value string }

// maxTags is AWS's limit for a bucket.
const maxTags = 50

// PutTags sets a bucket's tags, replacing the ones before.
func (s *Service) PutTags(name string, tags map[string]string) error {
	return s.changeBucket(name, func(b *bucket) { b.Tags = tags })
}

func (s *Service) getBucketTagging(w http.ResponseWriter, r request) error {
	b, _, err := s.buckets.Get(r.bucket)
	if err != nil {
		return err
	}
	if len(b.Tags) == 0 {
		return failure("NoSuchTagSet", "The TagSet does not exist")
	}
	set := tagSet{XMLName: xml.Name{Space: namespace, Local: "Tagging"}}
	for _, key := range slices.Sorted(maps.Keys(b.Tags)) {
		set.Tags = append(set.Tags, tag{key, b.Tags[key]})
	}
	return writeXML(w, set)
}

func (s *Service) putBucketTagging(w http.ResponseWriter, r request) error {
	text, err := document(r.Request)
	if err != nil {
		return err
	}
	var set tagSet
	if err := xml.Unmarshal(text, &set); err != nil {
		return failure("MalformedXML", "The tags are not the XML that they should be: %v", err)
	}
	tags := map[string]string{}
	for _, t := range set.Tags {
		if err := t.check(tags); err != nil {
			return err
		}
		tags[t.Key] = t.Value
	}
	if len(tags) > maxTags {
		return failure("BadRequest", "Bucket tag count cannot be greater than %d", maxTags)
	}
	if err := s.PutTags(r.bucket, tags); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (t tag) check(others map[string]string) error {
	_, twice := others[t.Key]
	switch {
	case twice:
		return failure("InvalidTag", "Cannot provide multiple Tags with the same key: %s", t.Key)
	case t.Key == "" || len([]rune(t.Key)) > 128:
		return failure("InvalidTag", "The TagKey you have provided is invalid: %q must have 1 to 128 characters", t.Key)
	case len([]rune(t.Value)) > 256:
		return failure("InvalidTag", "The TagValue you have provided is invalid: that of %q must have 256 characters at most", t.Key)
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return failure("InvalidTag", "System tags cannot be added/updated by requester: %s", t.Key)
	}
	return nil
}

func (s *Service) deleteBucketTagging(w http.ResponseWriter, r request) error {
	if err := s.PutTags(r.bucket, nil); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) getBucketPolicy(w http.ResponseWriter, r request) error {
	b, _, err := s.buckets.Get(r.bucket)
	if err != nil {
		return err
	}
	if b.Document == nil {
		return failure("NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(b.Document)
	return err
}

// getLifecycle answers that a bucket has no lifecycle. The rules of a stack's
// bucket are kept as far as the engine applies them, which is too little to
// answer with.
func (s *Service) getLifecycle(_ http.ResponseWriter, r request) error {
	b, _, err := s.buckets.Get(r.bucket)
	switch {
	case err != nil:
		return err
	case len(b.Lifecycle) > 0:
		return failure("NotImplemented", "the local engine does not return the lifecycle rules of %s, which a stack has set", r.bucket)
	}
	return failure("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
}

// getBucketACL answers with the only list that there is: the owner may do all.
func (s *Service) getBucketACL(w http.ResponseWriter, _ request) error {
	owner := "<ID>" + iam.AccountID + "</ID>"
	return answer("AccessControlPolicy", "<Owner>"+owner+`</Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`+
		owner+"</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>")(s, w, request{})
}

// answer returns an operation that reads a setting which is the same for all
// buckets.
func answer(element, content string) func(*Service, http.ResponseWriter, request) error {
	return func(_ *Service, w http.ResponseWriter, _ request) error {
		w.Header().Set("Content-Type", "application/xml")
		_, err := fmt.Fprintf(w, `%s<%s xmlns="%s">%s</%[2]s>`, xml.Header, element, namespace, content)
		return err
	}
}

// none returns an operation that reads a setting which no bucket has.
func none(code, message string) func(*Service, http.ResponseWriter, request) error {
	return func(_ *Service, _ http.ResponseWriter, r request) error {
		return failure(code, "%s: %s", message, r.bucket)
	}
}
