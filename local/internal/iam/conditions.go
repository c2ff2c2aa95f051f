package iam

import (
	"slices"
	"strings"
)

// Keys are the condition keys that the engine knows about a call, each with its
// values. A key without values is not set by the call. A key such as
// aws:PrincipalTag/* stands for all keys of its kind that are not listed.
type Keys map[string][]string

// lookup returns the values of a condition key. Names are compared without
// regard to case.
func (k Keys) lookup(key string) (values []string, known bool) {
	for name, values := range k {
		if strings.EqualFold(name, key) {
			return values, true
		}
		kind, all := strings.CutSuffix(name, "*")
		known = known || all && len(key) > len(kind) && strings.EqualFold(key[:len(kind)], kind)
	}
	return nil, known
}

// A condition operator compares the value of a context key with the values of
// the policy.
type operator struct {
	matches func(pattern, value string) bool
	negated bool
}

// operators are the ones that the engine evaluates, besides Null. ArnEquals and
// ArnLike are the same thing on AWS too.
var operators = map[string]operator{
	"StringEquals":              {matches: equal},
	"StringNotEquals":           {matches: equal, negated: true},
	"StringEqualsIgnoreCase":    {matches: strings.EqualFold},
	"StringNotEqualsIgnoreCase": {matches: strings.EqualFold, negated: true},
	"StringLike":                {matches: matchWildcard},
	"StringNotLike":             {matches: matchWildcard, negated: true},
	"ArnEquals":                 {matches: matchWildcard},
	"ArnLike":                   {matches: matchWildcard},
	"ArnNotEquals":              {matches: matchWildcard, negated: true},
	"ArnNotLike":                {matches: matchWildcard, negated: true},
	"Bool":                      {matches: strings.EqualFold},
}

func equal(pattern, value string) bool { return pattern == value }

// evaluate reports whether one line of a Condition holds, and whether the
// engine could evaluate it. The engine knows no other operators, and no other
// context keys than those in keys.
func evaluate(name, key string, tests []string, keys Keys) (holds, known bool) {
	values, known := keys.lookup(key)
	if !known {
		return false, false
	}
	if name == "Null" {
		return slices.Contains(tests, "true") == (len(values) == 0), true
	}
	set, plain, _ := strings.Cut(name, ":")
	if plain == "" {
		set, plain = "", name
	}
	op, known := operators[plain]
	if !known {
		return false, false
	}
	passes := func(value string) bool {
		return slices.ContainsFunc(tests, func(pattern string) bool { return op.matches(pattern, value) }) != op.negated
	}
	switch set {
	case "ForAnyValue":
		return slices.ContainsFunc(values, passes), true
	case "ForAllValues":
		return !slices.ContainsFunc(values, func(value string) bool { return !passes(value) }), true
	case "":
		return singleValue(values, op, passes)
	}
	return false, false
}

// singleValue compares a key that has one value or none. A key without a value
// equals nothing.
func singleValue(values []string, op operator, passes func(string) bool) (holds, known bool) {
	switch len(values) {
	case 0:
		return op.negated, true
	case 1:
		return passes(values[0]), true
	}
	return false, false
}
