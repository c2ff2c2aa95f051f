package iamapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/paging"
)

// Version and Namespace are those of IAM in AWS Query.
const (
	Version   = "2010-05-08"
	Namespace = "https://iam.amazonaws.com/doc/2010-05-08/"
)

// These are IAM's quotas.
const (
	maxPolicies = 10240 // characters of a role's inline policies, white space not counted
	maxTags     = 50
	maxSession  = 3600 // seconds; AWS allows twelve hours
)

// Options are the settings of a Service. All are required.
type Options struct{ IAM *iam.Service }

// A Service is the API.
type Service struct{ Options }

// New returns the service.
func New(options Options) *Service { return &Service{Options: options} }

// role returns the role called name, or NoSuchEntity.
func (s *Service) role(name *string) (iam.Role, error) {
	role, found, err := s.IAM.Role(aws.ToString(name))
	if err == nil && !found {
		err = failure("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
	}
	return role, err
}

// change changes a role that must exist.
func (s *Service) change(name *string, change func(*iam.Role) error) error {
	return s.IAM.ChangeRole(aws.ToString(name), change)
}

// encoded returns a document as IAM's answers have it: percent-encoded by RFC
// 3986. Unlike on AWS, its white space is gone, which the state file does not
// keep.
func encoded(document json.RawMessage) *string {
	var compact bytes.Buffer
	json.Compact(&compact, document) //nolint:errcheck // it was parsed before it was kept
	return aws.String(strings.ReplaceAll(url.QueryEscape(compact.String()), "+", "%20"))
}

// maxPage is the number of items in a page unless the caller asks for another,
// as in IAM's API.
const maxPage = 100

// pageOf returns a page of items, as paging.Page does.
func pageOf[T any](items []T, key func(T) string, maxItems *int32, marker *string) ([]T, *string, error) {
	page, next, err := paging.Page(items, key, marker, int(aws.ToInt32(cmp.Or(maxItems, aws.Int32(maxPage)))))
	if errors.Is(err, paging.ErrToken) {
		err = failure("ValidationError", "Invalid Marker.")
	}
	return page, next, err
}
