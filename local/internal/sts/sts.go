// Package sts is the local engine's Security Token Service: it tells callers who they are.
package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Version and Namespace are STS's in AWS Query.
const (
	Version   = "2011-06-15"
	Namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// Service is STS. Its methods have the SDK's shape; package wire serves them.
type Service struct{}

// GetCallerIdentity returns the account, the ARN and the user id of the principal that signed the request.
func (Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p, ok := iam.PrincipalFrom(ctx)
	if !ok {
		return nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "the request carries no identity", Fault: smithy.FaultClient}
	}
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(p.AccountID),
		Arn:     aws.String(p.ARN),
		UserId:  aws.String(p.UserID),
	}, nil
}
