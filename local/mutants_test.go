package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A mutant is a role with one thing less in its policies.
type mutant struct {
	what    string // "without …: Allow s3:GetObject on …"
	actions []string
	role    iam.Role
}

type statement = map[string]any

// mutantsOf returns a role's mutants: without an action, a resource, a
// condition or one of a condition's values, with a narrower resource, and
// without a Deny. The calls are what the role's sessions have wanted to do.
func mutantsOf(role iam.Role, calls []iam.Call) ([]mutant, error) {
	var all []mutant
	for name, text := range role.Policies {
		var document map[string]any
		if err := json.Unmarshal(text, &document); err != nil {
			return nil, err
		}
		statements := document["Statement"].([]any)
		for i, item := range statements {
			original := item.(statement)
			for what, changed := range changesOf(original, calls) {
				mutated := maps.Clone(document)
				mutated["Statement"] = slices.Concat(statements[:i], changed, statements[i+1:])
				text, err := json.Marshal(mutated)
				if err != nil {
					return nil, err
				}
				m := mutant{what: what + ": " + describe(original), actions: listOf(original["Action"]), role: role}
				m.role.Policies = maps.Clone(role.Policies)
				m.role.Policies[name] = text
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// changesOf returns the ways in which a statement can have one thing less, each
// with what takes its place: no statement, or one.
func changesOf(s statement, calls []iam.Call) map[string][]any {
	changes := map[string][]any{}
	if s["Effect"] == "Deny" {
		changes["without it"] = nil
	} else {
		for _, element := range []string{"Action", "Resource"} {
			for _, value := range listOf(s[element]) {
				changes["without "+value] = without(s, element, value)
			}
		}
		for _, resource := range listOf(s["Resource"]) {
			if narrower := narrow(s, resource, calls); narrower != nil {
				changes["with one of "+resource] = []any{narrower}
			}
		}
	}
	conditions, _ := s["Condition"].(map[string]any)
	for operator, tests := range conditions {
		for key, values := range tests.(map[string]any) {
			changes[fmt.Sprintf("without %s %s", operator, key)] = withTests(s, operator, key, nil)
			for _, value := range listOf(values) {
				if rest := less(listOf(values), value); len(rest) > 0 {
					changes[fmt.Sprintf("without %s %s %s", operator, key, value)] = withTests(s, operator, key, rest)
				}
			}
		}
	}
	if s["Effect"] == "Deny" && len(changes) == 2 {
		delete(changes, "without "+onlyTest(conditions)) // it would deny everything
	}
	return changes
}

func onlyTest(conditions map[string]any) string {
	for operator, tests := range conditions {
		for key := range tests.(map[string]any) {
			return operator + " " + key
		}
	}
	return ""
}

// narrow returns the statement with the first resource that a call had in the
// place of a pattern.
func narrow(s statement, pattern string, calls []iam.Call) statement {
	if pattern == "*" || !strings.HasSuffix(pattern, "*") { // what has no resource has nothing narrower
		return nil
	}
	for _, call := range calls {
		if slices.Contains(listOf(s["Action"]), call.Action) && strings.HasPrefix(call.Resource, strings.TrimSuffix(pattern, "*")) {
			changed := maps.Clone(s)
			changed["Resource"] = append(less(listOf(s["Resource"]), pattern), call.Resource)
			return changed
		}
	}
	return nil
}

func without(s statement, element, value string) []any {
	rest := less(listOf(s[element]), value)
	if len(rest) == 0 {
		return nil
	}
	changed := maps.Clone(s)
	changed[element] = rest
	return []any{changed}
}

// withTests returns the statement with those values of a condition, or without
// the condition if there are none.
func withTests(s statement, operator, key string, values []string) []any {
	changed, conditions := maps.Clone(s), maps.Clone(s["Condition"].(map[string]any))
	tests := maps.Clone(conditions[operator].(map[string]any))
	delete(tests, key)
	if values != nil {
		tests[key] = values
	}
	conditions[operator] = tests
	changed["Condition"] = conditions
	return []any{changed}
}

func less(values []string, value string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(other string) bool { return other == value })
}

func listOf(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var all []string
		for _, one := range value {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return nil
}

// describe names a statement in a line.
func describe(s statement) string {
	text := fmt.Sprintf("%s %s on %s", s["Effect"], strings.Join(listOf(s["Action"]), " "), strings.Join(listOf(s["Resource"]), " "))
	if s["Condition"] != nil {
		condition, _ := json.Marshal(s["Condition"])
		text += " if " + string(condition)
	}
	return text
}

// noticed reports whether one of the calls, of which the role itself allows
// those, is decided otherwise by a mutant.
func (m mutant) noticed(calls []iam.Call, allowed []bool) bool {
	for i, call := range calls {
		if slices.Contains(m.actions, call.Action) && (call.AuthorizedBy(m.role) == nil) != allowed[i] {
			return true
		}
	}
	return false
}

// allowedBy reports for each call whether the role allows it.
func allowedBy(role iam.Role, calls []iam.Call) []bool {
	allowed := make([]bool, len(calls))
	for i, call := range calls {
		allowed[i] = call.AuthorizedBy(role) == nil
	}
	return allowed
}
