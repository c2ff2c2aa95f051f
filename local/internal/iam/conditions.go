package iam

import (
	"slices"
	"strings"
)

// A condition operator compares the value of a context key with the values of the policy.
type operator struct {
	matches func(pattern, value string) bool
	negated bool
}

// operators are the ones that the engine evaluates. ArnEquals and ArnLike are the same thing on AWS too.
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
}

func equal(pattern, value string) bool { return pattern == value }

// evaluate tells whether one line of a Condition holds, and whether the engine could tell: it knows neither other
// operators nor other context keys than those in keys.
func evaluate(name, key string, values []string, keys map[string]string) (holds, known bool) {
	op, known := operators[name]
	if !known {
		return false, false
	}
	value, known := lookup(keys, key)
	if !known {
		return false, false
	}
	found := slices.ContainsFunc(values, func(pattern string) bool { return op.matches(pattern, value) })
	return found != op.negated, true
}

// lookup finds a context key, whose name is compared without regard to case.
func lookup(keys map[string]string, key string) (string, bool) {
	for name, value := range keys {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return "", false
}
