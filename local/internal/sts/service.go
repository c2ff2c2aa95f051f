package sts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Version and Namespace are those of STS in AWS Query.
const (
	Version   = "2011-06-15"
	Namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// Options are the settings of a Service. All are required.
type Options struct{ IAM *iam.Service }

// A Service is STS.
type Service struct{ Options }

// New returns the service.
func New(options Options) *Service { return &Service{Options: options} }

// GetCallerIdentity returns the account, the ARN and the user id of the
// principal that signed the request.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p, ok := iam.PrincipalFrom(ctx)
	if !ok {
		return nil, failure("AccessDeniedException", "the request carries no identity")
	}
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(p.AccountID),
		Arn:     aws.String(p.ARN),
		UserId:  aws.String(p.UserID),
	}, nil
}

// assumption converts a request to an assumption.
func assumption(in *sts.AssumeRoleInput) iam.Assumption {
	a := iam.Assumption{
		RoleARN: aws.ToString(in.RoleArn), Session: aws.ToString(in.RoleSessionName), ExternalID: aws.ToString(in.ExternalId),
		Tags: map[string]string{}, Transitive: in.TransitiveTagKeys, TTL: maxSession,
	}
	if in.DurationSeconds != nil {
		a.TTL = time.Duration(*in.DurationSeconds) * time.Second
	}
	for _, tag := range in.Tags {
		a.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return a
}

// These are the bounds of a session's duration, from AssumeRole's API
// reference. A role allows an hour unless its MaxSessionDuration, which the
// engine does not store, says otherwise.
const (
	minSession = 15 * time.Minute
	maxSession = time.Hour
)

var sessionForm = lazyregexp.New(`^[\w+=,.@-]{2,64}$`)

// AssumeRole returns credentials of a role whose trust policy names the caller:
// the account, or the ARN of the caller or of its role. Unlike on AWS, the
// account's own keys may assume roles, because the engine has no users.
func (s *Service) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if err := validate(in); err != nil {
		return nil, err
	}
	asked := assumption(in)
	asked.Principal, _ = iam.PrincipalFrom(ctx)
	session, err := s.IAM.AssumeRole(asked)
	if err != nil {
		return nil, denied(err)
	}
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: &session.Principal.ARN, AssumedRoleId: &session.Principal.UserID},
		Credentials: &types.Credentials{
			AccessKeyId:     &session.Credentials.AccessKeyID,
			SecretAccessKey: &session.Credentials.SecretAccessKey,
			SessionToken:    &session.Credentials.SessionToken,
			Expiration:      &session.Credentials.Expires,
		},
	}, nil
}

func validate(in *sts.AssumeRoleInput) error {
	for field, given := range map[string]bool{
		"Policy": in.Policy != nil, "PolicyArns": in.PolicyArns != nil, "ProvidedContexts": in.ProvidedContexts != nil,
		"SerialNumber": in.SerialNumber != nil, "SourceIdentity": in.SourceIdentity != nil, "TokenCode": in.TokenCode != nil,
	} {
		if given {
			return failure("ValidationError", "the local engine does not support %s", field)
		}
	}
	if !sessionForm().MatchString(aws.ToString(in.RoleSessionName)) {
		return failure("ValidationError", "roleSessionName %q: give 2 to 64 letters, digits and _ + = , . @ -", aws.ToString(in.RoleSessionName))
	}
	if ttl := assumption(in).TTL; ttl < minSession || ttl > maxSession {
		return failure("ValidationError", "durationSeconds %d: give 900 to 3600", *in.DurationSeconds)
	}
	return validateTags(in)
}

// maxTags is the maximum number of a session's tags, from AssumeRole's API
// reference.
const maxTags = 50

func validateTags(in *sts.AssumeRoleInput) error {
	given := map[string]bool{}
	for _, tag := range in.Tags {
		key := strings.ToLower(aws.ToString(tag.Key))
		switch {
		case key == "" || len(key) > 128 || len(aws.ToString(tag.Value)) > 256:
			return failure("ValidationError", "the tag %q: give a key of 1 to 128 and a value of at most 256 bytes", aws.ToString(tag.Key))
		case given[key]:
			return failure("InvalidParameterValue", "Duplicate tag keys found: %s. Keys are compared without regard to case", *tag.Key)
		}
		given[key] = true
	}
	if len(in.Tags) > maxTags {
		return failure("ValidationError", "tags has %d members; a session has at most %d", len(in.Tags), maxTags)
	}
	for _, key := range in.TransitiveTagKeys {
		if !slices.ContainsFunc(in.Tags, func(tag types.Tag) bool { return aws.ToString(tag.Key) == key }) {
			return failure("InvalidParameterValue", "The specified transitive tag key %s must be included in the requested tags.", key)
		}
	}
	return nil
}
