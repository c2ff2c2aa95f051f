package cloudformation

import (
	"context"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
)

// CloudFormation's limits for a template, in bytes: in the request's body, and
// in S3.
const (
	maxBody   = 51_200
	maxObject = 1 << 20
)

// Objects is what CloudFormation needs of the engine's S3: an object, if the
// principal of ctx may read it.
type Objects interface {
	Open(ctx context.Context, bucket, key string) (*os.File, error)
}

// body is the template that a request has, or that its URL points at.
func (s *Service) body(ctx context.Context, body, templateURL *string) (string, error) {
	switch text, at := aws.ToString(body), aws.ToString(templateURL); {
	case text != "" && at != "":
		return "", invalid("TemplateBody and TemplateURL are both given; give one of them")
	case at != "":
		return s.fetch(ctx, at)
	case text == "":
		return "", invalid("Either Template URL or Template Body must be specified.")
	case len(text) > maxBody:
		return "", invalid("Template may not exceed %d bytes in length; this one has %d. Upload it to a bucket and give its TemplateURL", maxBody, len(text))
	default:
		return text, nil
	}
}

// fetch reads a template from the engine's S3, as the caller.
func (s *Service) fetch(ctx context.Context, templateURL string) (string, error) {
	bucket, key, err := s.objectAt(templateURL)
	if err != nil {
		return "", err
	}
	file, err := s.Objects.Open(ctx, bucket, key)
	if err != nil {
		return "", invalid("TemplateURL %s: S3 error: %v", templateURL, resources.WithoutCode(err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxObject+1))
	if err == nil && len(text) > maxObject {
		err = invalid("TemplateURL %s: a template in S3 may not exceed %d bytes in length", templateURL, maxObject)
	}
	return string(text), err
}

// objectAt is the object that a URL of the engine's S3 means, by the names
// that S3 has in its region and by the engine's own address.
func (s *Service) objectAt(templateURL string) (bucket, key string, err error) {
	u, err := url.Parse(templateURL)
	if err == nil && u.RawQuery == "" {
		bucket, key = s.addressed(u.Host, strings.TrimPrefix(u.Path, "/"))
	}
	if bucket == "" || key == "" {
		return "", "", invalid("TemplateURL %s cannot be used: the local engine reads templates from its own S3 only. "+
			"Upload it to a bucket here and give https://s3.%s.amazonaws.com/BUCKET/KEY, or send the template in TemplateBody", templateURL, s.Region)
	}
	return bucket, key, nil
}

// addressed finds the bucket in the path or in front of the host; "" if the
// host is no name of the engine's S3.
func (s *Service) addressed(host, path string) (bucket, key string) {
	names := []string{"s3." + s.Region + ".amazonaws.com", "s3-" + s.Region + ".amazonaws.com", "s3.amazonaws.com"}
	if host == s.Host || slices.Contains(names, host) {
		bucket, key, _ = strings.Cut(path, "/")
	}
	for _, name := range names {
		if before, ok := strings.CutSuffix(host, "."+name); ok {
			bucket, key = before, path
		}
	}
	return bucket, key
}
