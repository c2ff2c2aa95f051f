package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// A Permission is what the caller of an operation must have.
type Permission struct {
	Action   string          // "service:Operation"
	Resource string          // an ARN, or "*" if the action has none
	Keys     Keys            // the condition keys of the call, besides those of its principal
	Policy   json.RawMessage // the policy of the resource; nil for none
}

// On returns the permission for each of the resources, for a service whose call
// needs the action of its own name.
func On(resources ...string) []Permission {
	needs := make([]Permission, len(resources))
	for i, resource := range resources {
		needs[i].Resource = resource
	}
	return needs
}

// PassRole returns the permission to pass a role to a service.
func PassRole(role, service string) Permission {
	return Permission{Action: "iam:PassRole", Resource: role, Keys: Keys{"iam:PassedToService": {service}}}
}

// UseKey returns the permission for an action of KMS that a service asks for in
// the name of its caller, with the given key: an ARN, an id or an alias. The
// key's own policy leaves it to the account's identities, as by default. There
// is none to have for the key that AWS manages for the service, which is "" or
// alias/aws/….
func UseKey(action, key, service, region string) []Permission {
	if key == "" || strings.HasPrefix(key, "alias/aws/") {
		return nil
	}
	if !strings.HasPrefix(key, "arn:") {
		if !strings.HasPrefix(key, "alias/") {
			key = "key/" + key
		}
		key = "arn:aws:kms:" + region + ":" + AccountID + ":" + key
	}
	return []Permission{{Action: "kms:" + action, Resource: key, Keys: Keys{"kms:ViaService": {service + "." + region + ".amazonaws.com"}}}}
}

// Authorize returns nil if ctx's principal has all permissions, and otherwise
// an AccessDeniedException in AWS's words. What the policy of a resource denies
// it denies to the root principal too, as on AWS.
func (s *Service) Authorize(ctx context.Context, needs ...Permission) error {
	for _, need := range needs {
		if err := s.authorize(ctx, need); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) authorize(ctx context.Context, need Permission) error {
	principal, ok := PrincipalFrom(ctx)
	switch {
	case !ok:
		return accessDenied("anonymous", need.Action, need.Resource, "because the request carries no identity")
	case ofAnotherAccount(need.Resource):
		return accessDenied(principal.ARN, need.Action, need.Resource, "because no resource-based policy allows the "+need.Action+" action")
	}
	role, found, err := s.Role(principal.RoleName)
	if err != nil {
		return err
	}
	call := Call{Principal: principal, Action: need.Action, Resource: need.Resource, Keys: principal.keys(role)}
	maps.Copy(call.Keys, need.Keys)
	if err := s.authorizeByRole(call, role, found); err != nil {
		return err
	}
	return call.authorizedByResource(need.Policy, role)
}

// authorizeByRole decides by the policies of the caller's role. The root
// principal has none and needs none, and STS returns their identity to all
// callers.
func (s *Service) authorizeByRole(call Call, role Role, found bool) error {
	switch {
	case call.Principal.Root, call.Action == "sts:GetCallerIdentity":
		return nil
	case !found:
		return accessDenied(call.Principal.ARN, call.Action, call.Resource, "because its role no longer exists")
	}
	if observe := s.observer.Load(); observe != nil {
		(*observe)(call)
	}
	return call.AuthorizedBy(role)
}

// authorizedByResource returns nil unless the resource's own policy denies the
// call.
func (c Call) authorizedByResource(document json.RawMessage, role Role) error {
	if document == nil {
		return nil
	}
	p, err := parsePolicy(document)
	if err != nil {
		return fmt.Errorf("policy of %s: %w", c.Resource, err)
	}
	for _, s := range p.Statement {
		if s.Principal.includesPrincipal(c.Principal, role) && s.applies(c.Action, c.Resource, c.Keys) {
			return accessDenied(c.Principal.ARN, c.Action, c.Resource, "with an explicit deny in a resource-based policy")
		}
	}
	return nil
}

// CheckResourcePolicy fails for a resource's own policy that the engine would
// not enforce: one that allows something, or whose conditions ask for what the
// engine does not know of a call. The keys are the condition keys of such
// calls, besides those of their principals.
func CheckResourcePolicy(document json.RawMessage, keys Keys) error {
	p, err := parsePolicy(document)
	if err != nil {
		return err
	}
	for i, s := range p.Statement {
		if s.Effect != "Deny" {
			return fmt.Errorf("statement %d allows something: grant access in a role's policy", i)
		}
		if !s.Principal.any && len(s.Principal.byKind) == 0 {
			return fmt.Errorf("statement %d has no Principal", i)
		}
		for operator, tests := range s.Condition {
			for key, values := range tests {
				_, ofCall := evaluate(operator, key, values, keys)
				_, ofPrincipal := evaluate(operator, key, values, Principal{}.keys(Role{}))
				if !ofCall && !ofPrincipal {
					return fmt.Errorf("statement %d has the condition %s of %s, which the local engine cannot evaluate", i, operator, key)
				}
			}
		}
	}
	return nil
}
