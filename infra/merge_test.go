package infra_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A merger makes one template of two.
type merger struct {
	condition string // under which the first is wanted
	without   string // under which the second is
	added     cfn    // conditions that it needs and that are not there yet
}

// mergeTemplates returns the template that is on where condition holds and off
// elsewhere. Conditions that it needs are put into added.
func mergeTemplates(condition string, on, off template, added cfn) template {
	m := merger{condition: condition, without: "Not" + condition, added: added}
	merged := template{}
	for _, section := range keys(on, off) {
		switch section {
		case "Resources", "Outputs":
			merged[section] = m.entries(on[section].(cfn), off[section].(cfn))
		default:
			merged[section] = m.same(section, on[section], off[section])
		}
	}
	return merged
}

func keys(maps_ ...map[string]any) []string {
	all := map[string]any{}
	for _, m := range maps_ {
		maps.Copy(all, m)
	}
	return slices.Sorted(maps.Keys(all))
}

// entries merges resources or outputs: one that only one side has gets a
// condition.
func (m merger) entries(on, off cfn) cfn {
	merged := cfn{}
	for _, id := range keys(on, off) {
		left, inOn := on[id].(cfn)
		right, inOff := off[id].(cfn)
		switch {
		case inOn && inOff:
			merged[id] = m.entry(id, left, right)
		case inOn:
			merged[id] = m.only(left, m.condition)
		default:
			m.added[m.without] = not(named(m.condition))
			merged[id] = m.only(right, m.without)
		}
	}
	return merged
}

// only returns an entry that one side has: it is wanted under the condition.
func (m merger) only(entry cfn, condition string) cfn {
	entry = maps.Clone(entry)
	if own, has := entry["Condition"].(string); has {
		combined := condition + "And" + own
		m.added[combined] = both(named(condition), named(own))
		condition = combined
	}
	entry["Condition"] = condition
	return entry
}

// entry merges an entry that both sides have. Functions are possible in its
// properties and its value only.
func (m merger) entry(id string, on, off cfn) cfn {
	merged := cfn{}
	for _, key := range keys(on, off) {
		switch key {
		case "Properties", "Value":
			merged[key] = m.value(on[key], off[key])
		case "DependsOn":
			merged[key] = union(on[key], off[key]) // one on a resource that is not made is ignored
		default:
			merged[key] = m.same(id+"."+key, on[key], off[key])
		}
	}
	return merged
}

func (m merger) same(path string, on, off any) any {
	if !reflect.DeepEqual(on, off) {
		panic(fmt.Sprintf("%s depends on %s, and CloudFormation has no functions there", path, m.condition))
	}
	return on
}

func union(lists ...any) []any {
	var all []any
	for _, list := range lists {
		for _, item := range list.([]any) {
			if !slices.Contains(all, item) {
				all = append(all, item)
			}
		}
	}
	return all
}

// value merges two values of a property.
func (m merger) value(on, off any) any {
	if reflect.DeepEqual(on, off) {
		return on
	}
	switch on := on.(type) {
	case cfn:
		if off, ok := off.(cfn); ok && !isFunction(on) && !isFunction(off) {
			return m.object(on, off)
		}
	case []any:
		if off, ok := off.([]any); ok && slices.ContainsFunc(on, func(member any) bool { return has(off, member) }) {
			return m.list(on, off)
		}
	}
	return choose(m.condition, orNoValue(on), orNoValue(off))
}

func orNoValue(value any) any {
	if value == nil {
		return noValue
	}
	return value
}

func (m merger) object(on, off cfn) cfn {
	merged := cfn{}
	for _, key := range keys(on, off) {
		merged[key] = m.value(on[key], off[key])
	}
	return merged
}

// list keeps the order of both lists: members that mean the same thing are
// merged, and the others are wanted on their own side only.
func (m merger) list(on, off []any) []any {
	var merged []any
	for len(on) > 0 || len(off) > 0 {
		switch {
		case len(on) > 0 && len(off) > 0 && identity(on[0]) == identity(off[0]):
			merged = append(merged, m.value(on[0], off[0]))
			on, off = on[1:], off[1:]
		case len(on) > 0 && !has(off, on[0]):
			merged = append(merged, choose(m.condition, on[0], noValue))
			on = on[1:]
		case len(off) > 0 && !has(on, off[0]):
			merged = append(merged, choose(m.condition, noValue, off[0]))
			off = off[1:]
		default:
			panic(fmt.Sprintf("two lists have the same members in another order: %s", compact(on)))
		}
	}
	return merged
}

func has(list []any, member any) bool {
	return slices.ContainsFunc(list, func(other any) bool { return identity(other) == identity(member) })
}

// identity returns what distinguishes members of a list: the name of a
// variable, the actions of a statement.
func identity(value any) string {
	if object, ok := value.(cfn); ok {
		for _, key := range []string{"Name", "Action"} {
			if object[key] != nil {
				return key + "=" + compact(object[key])
			}
		}
	}
	return compact(value)
}

// parameterize replaces all samples in a value.
func parameterize(value any) any {
	switch value := value.(type) {
	case string:
		if by, ok := sampleWords[value]; ok {
			return by
		}
		return parameterizeText(value)
	case float64:
		if by, ok := sampleNumbers[value]; ok {
			return by
		}
	case []any:
		if list := parameterizeList(value); list != nil {
			return list
		}
		replaced := make([]any, len(value))
		for i, member := range value {
			replaced[i] = parameterize(member)
		}
		return replaced
	case cfn:
		if isFunction(value) && (value["Ref"] != nil || value["Fn::GetAtt"] != nil) {
			return value
		}
		if parts, ok := value["Fn::Join"].([]any); ok && parts[0] == "" {
			return join(joined(parameterize(parts[1]).([]any))...)
		}
		replaced := cfn{}
		for key, member := range value {
			replaced[key] = parameterize(member)
		}
		return replaced
	}
	return value
}

// joined returns the parts of a text, with those of a text in it in its place.
func joined(parts []any) []any {
	var flat []any
	for _, part := range parts {
		object, _ := part.(cfn)
		if inner, ok := object["Fn::Join"].([]any); ok && inner[0] == "" {
			flat = append(flat, joined(inner[1].([]any))...)
			continue
		}
		flat = append(flat, part)
	}
	return flat
}

// parameterizeText replaces the samples in a text, if it has any.
func parameterizeText(text string) any {
	for _, sample := range samples {
		before, after, found := strings.Cut(text, sample.text)
		switch {
		case !found:
			continue
		case text == sample.text:
			return sample.by
		}
		var parts []any
		for _, part := range []any{parameterizeText(before), sample.by, parameterizeText(after)} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		return join(joined(parts)...)
	}
	return text
}

// parameterizeList replaces a list whose only member ends in the sample of a
// list. Each member of the parameter's list has what stands before it.
func parameterizeList(list []any) any {
	if len(list) != 1 {
		return nil
	}
	text, _ := list[0].(string)
	for sample, parameter := range sampleLists {
		before, found := strings.CutSuffix(text, sample)
		if found && before == "" {
			return split(",", parameter)
		}
		if found {
			return split(",", join(before, cfn{"Fn::Join": []any{"," + before, split(",", parameter)}}))
		}
	}
	return nil
}
