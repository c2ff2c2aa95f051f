// Package iam is the local engine's identity and access management: the
// account's root keys, roles with their inline policies and a few of AWS's
// managed ones (managed.go), temporary credentials, and the decision whether a
// call is allowed.
//
//	service, err := iam.New(iam.Options{Store: db, Clock: clock})
//	err = service.PutRole(iam.Role{Name: "builder", TrustPolicy: trust})
//	err = service.PutRolePolicy("builder", "push", policy)
//	creds, err := service.AssumeRole(iam.Assumption{RoleARN: arn, Session: "AWSCodeBuild-…", Service: iam.CodeBuild, SourceARN: build})
//	creds, err = service.AssumeRole(iam.Assumption{RoleARN: arn, Session: "me", Principal: principal})
//	err = service.Authorize(iam.WithPrincipal(ctx, principal), iam.Permission{Action: "ecr:PutImage", Resource: repositoryARN})
//
// Roles come from CloudFormation, whose providers call this package, and from
// the API of package iamapi. The root principal, which the engine's own access
// keys stand for, may do everything that a resource's own policy does not deny;
// a role may do what its policies say, by AWS's rules: a Deny wins, then an
// Allow is needed. See policy.go for what of the policy language is understood.
package iam

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// AccountID is the account number of every local engine.
const AccountID = "000000000000"

// These are the service principals that assume roles for builds and for stacks.
const (
	CodeBuild      = "codebuild.amazonaws.com"
	CloudFormation = "cloudformation.amazonaws.com"
)

// A Principal is the caller of an operation.
type Principal struct {
	ARN       string // "arn:aws:iam::000000000000:root" or "arn:aws:sts::000000000000:assumed-role/ROLE/SESSION"
	AccountID string
	UserID    string // the UserId of GetCallerIdentity
	Root      bool
	RoleName  string // empty for root
	Session   string // the role session's name; empty for root

	Tags       map[string]string // of the session
	Transitive []string          // keys of those that the sessions it begins have too
}

// Root is the principal of the engine's own access keys.
func Root() Principal {
	return Principal{ARN: "arn:aws:iam::" + AccountID + ":root", AccountID: AccountID, UserID: AccountID, Root: true}
}

// keys returns the condition keys of a principal, which each of its calls has.
// The ARN of a role's session is the role's ARN there, as on AWS. There is one
// account, so every resource belongs to it.
func (p Principal) keys(role Role) Keys {
	keys := Keys{
		"aws:PrincipalArn": {cmp.Or(role.ARN, p.ARN)}, "aws:PrincipalAccount": {p.AccountID}, "aws:ResourceAccount": {AccountID},
		"aws:PrincipalTag/*": nil,
	}
	for _, tags := range []map[string]string{role.Tags, p.Tags} { // a session's tag wins over its role's
		for key, value := range tags {
			keys["aws:PrincipalTag/"+key] = []string{value}
		}
	}
	return keys
}

type principalKey struct{}

// WithPrincipal returns a context in which p makes the calls.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal of ctx, and whether there is one.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// Credentials are an access key with, for a role's session, its token and end.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string    // empty for root keys
	Expires         time.Time // zero for root keys
}

// ofAnotherAccount reports whether an ARN has the number of an account that is
// not the engine's.
func ofAnotherAccount(resource string) bool {
	parts := strings.SplitN(resource, ":", 6)
	return len(parts) == 6 && len(parts[4]) == len(AccountID) && parts[4] != AccountID
}

// A Call is a call of a role's session.
type Call struct {
	Principal        Principal
	Action, Resource string
	Keys             Keys
}

// Observe makes f be called with each call of a role's session before it is
// decided. With it, tests find out which permissions a build or a client needs.
func (s *Service) Observe(f func(Call)) { s.observer.Store(&f) }

// AuthorizedBy returns nil if the policies of a role allow the call.
func (c Call) AuthorizedBy(role Role) error {
	allowed := false
	for name, document := range role.documents() {
		policy, err := parsePolicy(document)
		if err != nil {
			return fmt.Errorf("policy %s of role %s: %w", name, role.Name, err)
		}
		switch policy.decide(c.Action, c.Resource, c.Keys) {
		case denied:
			return accessDenied(c.Principal.ARN, c.Action, c.Resource, "with an explicit deny in an identity-based policy")
		case granted:
			allowed = true
		}
	}
	if !allowed {
		return accessDenied(c.Principal.ARN, c.Action, c.Resource, "because no identity-based policy allows the "+c.Action+" action")
	}
	return nil
}
