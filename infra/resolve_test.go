package infra_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A resolving evaluates what depends on parameters, as CloudFormation does.
// References to resources and to pseudo parameters stay as they are.
type resolving struct {
	values     map[string]string
	conditions cfn
}

type nothing struct{} // AWS::NoValue

// resolveTemplate returns the template with the parameters in their places, and
// without the sections that are about them, as normal writes it.
func resolveTemplate(t *testing.T, tpl template, given map[string]string) template {
	t.Helper()
	r := resolving{values: map[string]string{}, conditions: tpl["Conditions"].(cfn)}
	for name, declared := range tpl["Parameters"].(cfn) {
		r.values[name] = fmt.Sprint(declared.(cfn)["Default"])
	}
	for name, value := range given {
		if _, ok := r.values[name]; !ok {
			t.Fatalf("the template has no parameter %s", name)
		}
		r.values[name] = value
	}
	return normal(template{
		"Description": tpl["Description"],
		"Resources":   r.wanted(tpl["Resources"].(cfn)),
		"Outputs":     r.wanted(tpl["Outputs"].(cfn)),
	})
}

func (r resolving) wanted(entries cfn) cfn {
	wanted := cfn{}
	for id, entry := range entries {
		entry := entry.(cfn)
		if name, conditional := entry["Condition"].(string); !conditional || r.holds(named(name)) {
			wanted[id] = r.value(entry)
			delete(wanted[id].(cfn), "Condition")
		}
	}
	return wanted
}

func (r resolving) value(value any) any {
	switch value := value.(type) {
	case []any:
		var list []any
		for _, member := range value {
			if resolved := r.value(member); resolved != (nothing{}) {
				list = append(list, resolved)
			}
		}
		return list
	case cfn:
		if isFunction(value) {
			return r.function(value)
		}
		resolved := cfn{}
		for key, member := range value {
			if member := r.value(member); member != (nothing{}) {
				resolved[key] = member
			}
		}
		return resolved
	}
	return value
}

func (r resolving) function(call cfn) any {
	if name, ok := call["Ref"].(string); ok {
		if value, ok := r.values[name]; ok {
			return value
		}
		if name == "AWS::NoValue" {
			return nothing{}
		}
		return call
	}
	if chosen, ok := call["Fn::If"].([]any); ok {
		if r.holds(named(chosen[0].(string))) {
			return r.value(chosen[1])
		}
		return r.value(chosen[2])
	}
	resolved := cfn{}
	for name, argument := range call {
		resolved[name] = r.value(argument)
	}
	return fold(resolved)
}

func (r resolving) holds(condition any) bool {
	for name, argument := range condition.(cfn) {
		switch name {
		case "Condition":
			return r.holds(r.conditions[argument.(string)])
		case "Fn::Not":
			return !r.holds(argument.([]any)[0])
		case "Fn::And":
			return !slices.ContainsFunc(argument.([]any), func(c any) bool { return !r.holds(c) })
		case "Fn::Equals":
			return compact(r.value(argument.([]any)[0])) == compact(argument.([]any)[1])
		}
	}
	panic("what is " + compact(condition))
}

// fold evaluates a function whose arguments are known, and puts the parts of a
// text together as far as they are.
func fold(call cfn) any {
	if arguments, ok := call["Fn::Join"].([]any); ok {
		if parts, ok := arguments[1].([]any); ok {
			return foldJoin(arguments[0].(string), parts)
		}
	}
	if arguments, ok := call["Fn::Split"].([]any); ok {
		if text, ok := arguments[1].(string); ok {
			var parts []any
			for _, part := range strings.Split(text, arguments[0].(string)) {
				parts = append(parts, part)
			}
			return parts
		}
	}
	if arguments, ok := call["Fn::Select"].([]any); ok {
		if list, ok := arguments[1].([]any); ok {
			return list[int(arguments[0].(float64))]
		}
	}
	return call
}

func foldJoin(delimiter string, parts []any) any {
	var folded []any
	for i, part := range parts {
		if i > 0 && delimiter != "" {
			folded = appendText(folded, delimiter)
		}
		folded = appendText(folded, part)
	}
	if len(folded) == 0 {
		return ""
	}
	if text, ok := folded[0].(string); ok && len(folded) == 1 {
		return text
	}
	return join(folded...)
}

func appendText(parts []any, part any) []any {
	if object, ok := part.(cfn); ok {
		if inner, ok := object["Fn::Join"].([]any); ok && inner[0] == "" {
			for _, one := range inner[1].([]any) {
				parts = appendText(parts, one)
			}
			return parts
		}
	}
	text, isText := part.(string)
	if last := len(parts) - 1; isText && last >= 0 {
		if before, ok := parts[last].(string); ok {
			return append(slices.Clone(parts[:last]), before+text)
		}
	}
	return append(parts, part)
}

// normal writes what means the same in one way: texts in one piece, numbers and
// booleans as texts, and dependencies in order and on what there is.
func normal(tpl template) template {
	written := template(normalValue(cfn(tpl)).(cfn))
	resources := written["Resources"].(cfn)
	for _, resource := range resources {
		resource := resource.(cfn)
		depends, ok := resource["DependsOn"].([]any)
		if !ok {
			continue
		}
		depends = slices.DeleteFunc(slices.Clone(depends), func(id any) bool { return resources[id.(string)] == nil })
		slices.SortFunc(depends, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		resource["DependsOn"] = depends
	}
	return written
}

func normalValue(value any) any {
	switch value := value.(type) {
	case []any:
		list := make([]any, len(value))
		for i, member := range value {
			list[i] = normalValue(member)
		}
		return list
	case cfn:
		object := cfn{}
		for key, member := range value {
			object[key] = normalValue(member)
		}
		if isFunction(object) {
			return foldNormal(object)
		}
		return object
	case string, nil:
		return value
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// foldNormal folds texts only: what is selected by a number has become a text.
func foldNormal(call cfn) any {
	if call["Fn::Join"] != nil {
		return fold(call)
	}
	return call
}
