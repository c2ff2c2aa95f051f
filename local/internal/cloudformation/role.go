package cloudformation

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A stack may have a role that its operations act with: the RoleARN of a
// request, which stays the stack's until another is given. The caller must be
// allowed to pass it on, and it must let CloudFormation in. What it may do is
// checked where the engine checks permissions, and CloudFormation's making of
// resources is no such place: the stack's events say so.

// sessionLasts is more than an operation takes.
const sessionLasts = time.Hour

// withRole gives a stack the role of a request, if it names one, and returns
// the context in which to work on the stack.
func (s *Service) withRole(ctx context.Context, stack *stackRecord, role *string) (context.Context, error) {
	if aws.ToString(role) != "" {
		stack.Role = *role
	}
	return s.asRole(ctx, stack)
}

// asRole returns a context whose principal is the stack's role, if it has one.
func (s *Service) asRole(ctx context.Context, stack *stackRecord) (context.Context, error) {
	if stack.Role == "" {
		return ctx, nil
	}
	session, err := s.IAM.AssumeRole(iam.Assumption{
		RoleARN: stack.Role, Session: "AWSCloudFormation", Service: iam.CloudFormation, SourceARN: stack.ID, TTL: sessionLasts,
	})
	if err != nil {
		return nil, invalid("Role %s is invalid or cannot be assumed: %v", stack.Role, resources.WithoutCode(err))
	}
	return iam.WithPrincipal(ctx, session.Principal), nil
}

// initiated is the reason of an operation's first event.
func (s *stackRecord) initiated() string {
	if s.Role == "" {
		return "User Initiated"
	}
	return "User Initiated. The local engine does not check what the stack's role may do."
}
