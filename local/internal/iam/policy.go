package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A policy is the part of IAM's policy language that the engine understands:
// Effect, Action, NotAction, Resource, NotResource, the Service and AWS
// principals of trust policies, and conditions with the operators in
// conditions.go. A condition that cannot be evaluated counts against the
// caller: an Allow with it does not apply, and a Deny does.
type policy struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMany[statement]
}

type statement struct {
	Sid         string
	Effect      string
	Principal   principals
	Action      oneOrMany[string]
	NotAction   oneOrMany[string]
	Resource    oneOrMany[string]
	NotResource oneOrMany[string]
	Condition   map[string]map[string]oneOrMany[string] // operator → key → values
}

// UnmarshalJSON refuses elements that the engine does not know, because
// ignoring them would change the decision.
func (s *statement) UnmarshalJSON(data []byte) error {
	type plain statement // without this method
	return unmarshalStrictly(data, (*plain)(s))
}

func unmarshalStrictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows its end")
	}
	return nil
}

type decision int

const (
	silent decision = iota
	granted
	denied
)

func parsePolicy(document json.RawMessage) (policy, error) {
	var p policy
	if err := unmarshalStrictly(document, &p); err != nil {
		return p, fmt.Errorf("not a policy document: %w", err)
	}
	if len(p.Statement) == 0 {
		return p, errors.New("a policy document needs at least one Statement")
	}
	for i, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return p, fmt.Errorf(`statement %d: Effect is %q, which must be "Allow" or "Deny"`, i, s.Effect)
		}
		if len(s.Action) == 0 && len(s.NotAction) == 0 {
			return p, fmt.Errorf("statement %d has neither Action nor NotAction", i)
		}
	}
	return p, nil
}

// decide applies the statements to one call; a Deny wins over any Allow.
func (p policy) decide(action, resource string, keys Keys) decision {
	result := silent
	for _, s := range p.Statement {
		if !s.applies(action, resource, keys) {
			continue
		}
		if s.Effect == "Deny" {
			return denied
		}
		result = granted
	}
	return result
}

// trusts reports whether the policy, a role's trust policy, lets a principal
// for which includes returns true do an action of assuming the role.
func (p policy) trusts(action string, includes func(principals) bool, keys Keys) bool {
	trusted := false
	for _, s := range p.Statement {
		if !s.coversAction(action) || !includes(s.Principal) || !s.conditionsHold(keys) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		trusted = true
	}
	return trusted
}

func (s statement) applies(action, resource string, keys Keys) bool {
	return s.coversAction(action) && s.coversResource(resource) && s.conditionsHold(keys)
}

func (s statement) coversAction(action string) bool {
	action = strings.ToLower(action) // actions are compared without regard to case
	matches := func(pattern string) bool { return matchWildcard(strings.ToLower(pattern), action) }
	if len(s.NotAction) > 0 {
		return !slices.ContainsFunc(s.NotAction, matches)
	}
	return slices.ContainsFunc(s.Action, matches)
}

func (s statement) coversResource(resource string) bool {
	matches := func(pattern string) bool { return matchWildcard(pattern, resource) }
	if len(s.NotResource) > 0 {
		return !slices.ContainsFunc(s.NotResource, matches)
	}
	return slices.ContainsFunc(s.Resource, matches)
}

func (s statement) conditionsHold(keys Keys) bool {
	for operator, tests := range s.Condition {
		for key, values := range tests {
			holds, known := evaluate(operator, key, values, keys)
			if !known {
				return s.Effect == "Deny"
			}
			if !holds {
				return false
			}
		}
	}
	return true
}

// matchWildcard reports whether text matches pattern, where * stands for any
// characters and ? for exactly one.
func matchWildcard(pattern, text string) bool {
	star, resume := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0: // let the last star take one character more
			resume++
			p, t = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// principals is the Principal of a trust policy's statement: "*" or lists by
// kind.
type principals struct {
	any    bool
	byKind map[string]oneOrMany[string]
}

func (p *principals) UnmarshalJSON(data []byte) error {
	if string(data) == `"*"` {
		p.any = true
		return nil
	}
	return json.Unmarshal(data, &p.byKind)
}

func (p principals) includesService(service string) bool {
	return p.any || slices.Contains(p.byKind["Service"], service)
}

// includesPrincipal reports whether principals include one of the account: the
// account itself, the role of a session, or the session.
func (p principals) includesPrincipal(who Principal, role Role) bool {
	named := []string{"*", who.AccountID, "arn:aws:iam::" + who.AccountID + ":root", who.ARN, role.ARN}
	return p.any || slices.ContainsFunc(p.byKind["AWS"], func(name string) bool { return name != "" && slices.Contains(named, name) })
}

// oneOrMany parses what IAM writes either as one value or as a list.
type oneOrMany[T any] []T

func (o *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(o))
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*o = oneOrMany[T]{one}
	return nil
}

// CheckTrustPolicy refuses a document that is no trust policy, as IAM's API
// does.
func CheckTrustPolicy(document json.RawMessage) error {
	return checkStatements(document, func(s statement) string {
		switch {
		case !s.Principal.any && len(s.Principal.byKind) == 0:
			return "Missing required field Principal"
		case len(s.Resource) > 0 || len(s.NotResource) > 0:
			return "Has prohibited field Resource"
		}
		return ""
	})
}

// CheckInlinePolicy refuses a document that is no policy of a role, as IAM's
// API does.
func CheckInlinePolicy(document json.RawMessage) error {
	return checkStatements(document, func(s statement) string {
		switch {
		case s.Principal.any || len(s.Principal.byKind) > 0:
			return "Policy document should not specify a principal."
		case len(s.Resource) == 0 && len(s.NotResource) == 0:
			return "Policy statement must contain resources."
		}
		return ""
	})
}

func checkStatements(document json.RawMessage, problem func(statement) string) error {
	p, err := parsePolicy(document)
	if err != nil {
		return failure("MalformedPolicyDocument", "%v", err)
	}
	for _, s := range p.Statement {
		if text := problem(s); text != "" {
			return failure("MalformedPolicyDocument", "%s", text)
		}
	}
	return nil
}
