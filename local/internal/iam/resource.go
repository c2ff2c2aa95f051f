package iam

import (
	"context"
	"encoding/json"
	"fmt"
)

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

// AuthorizeOn is Authorize for a resource that has a policy of its own. What
// that denies it denies to the root principal too, as on AWS. A nil document
// denies nothing.
func (s *Service) AuthorizeOn(ctx context.Context, document json.RawMessage, action, resource string) error {
	if err := s.Authorize(ctx, action, resource); err != nil || document == nil {
		return err
	}
	p, err := parsePolicy(document)
	if err != nil {
		return fmt.Errorf("policy of %s: %w", resource, err)
	}
	principal, _ := PrincipalFrom(ctx) // Authorize has found it
	role, _, err := s.Role(principal.RoleName)
	if err != nil {
		return err
	}
	keys := principal.keysOf(ctx, role)
	for _, s := range p.Statement {
		if s.Principal.includesPrincipal(principal, role) && s.applies(action, resource, keys) {
			return accessDenied(principal.ARN, action, resource, "with an explicit deny in a resource-based policy")
		}
	}
	return nil
}
