package template

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Unknown stands for a value that exists only once a resource has been made.
// A function of an unknown value is unknown.
type Unknown struct{}

// KnownAfterApply is how change sets write an unknown value.
const KnownAfterApply = "{{changeSet:KNOWN_AFTER_APPLY}}"

// MarshalJSON writes what CloudFormation writes in its change sets.
func (Unknown) MarshalJSON() ([]byte, error) { return json.Marshal(KnownAfterApply) }

// noValue is what AWS::NoValue resolves to: it removes the property or list
// item.
type noValue struct{}

// Resolver evaluates the functions of one template for one stack.
type Resolver struct {
	Template *Template
	// Values are the parameters and pseudo parameters.
	Values map[string]any
	// conditions holds the conditions evaluated so far; nil while one is being
	// evaluated.
	conditions map[string]*bool
	// Resource answers Ref and Fn::GetAtt for a resource; attribute is "" for
	// Ref.
	Resource func(id, attribute string) (any, error)
	// Exported answers Fn::ImportValue.
	Exported func(name string) (string, error)
}

// function evaluates a call whose argument is not resolved yet.
type function func(r *Resolver, argument any) (any, error)

// functions returns the functions by their names. It is no variable because
// the functions evaluate their arguments with it.
func functions() map[string]function {
	return map[string]function{
		"Ref":                  (*Resolver).ref,
		"Fn::And":              logical("Fn::And"),
		"Fn::Base64":           (*Resolver).base64,
		"Fn::Contains":         (*Resolver).contains,
		"Fn::EachMemberEquals": (*Resolver).eachMemberEquals,
		"Fn::EachMemberIn":     (*Resolver).eachMemberIn,
		"Fn::Equals":           (*Resolver).equals,
		"Fn::FindInMap":        (*Resolver).findInMap,
		"Fn::GetAtt":           (*Resolver).getAtt,
		"Fn::If":               (*Resolver).ifThenElse,
		"Fn::ImportValue":      (*Resolver).importValue,
		"Fn::Join":             (*Resolver).join,
		"Fn::Not":              (*Resolver).not,
		"Fn::Or":               logical("Fn::Or"),
		"Fn::Select":           (*Resolver).selectItem,
		"Fn::Split":            (*Resolver).split,
		"Fn::Sub":              (*Resolver).sub,
	}
}

// value evaluates all functions in a value. The path is for error messages.
func (r *Resolver) value(path string, value any) (any, error) {
	if name, argument, ok := functionOf(value); ok {
		return r.call(path, name, argument)
	}
	switch v := value.(type) {
	case map[string]any:
		return r.Object(path, v)
	case []any:
		return r.list(path, v)
	}
	return value, nil
}

func (r *Resolver) call(path, name string, argument any) (any, error) {
	call, ok := functions()[name]
	if !ok {
		if why, known := unsupported[name]; known {
			return nil, fmt.Errorf("%s: %s: %s", path, name, why)
		}
		return nil, fmt.Errorf("%s: the local engine does not implement the function %s", path, name)
	}
	result, err := call(r, argument)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return result, nil
}

func (r *Resolver) Object(path string, object map[string]any) (any, error) {
	resolved := make(map[string]any, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value, err := r.value(path+"/"+key, object[key])
		if err != nil {
			return nil, err
		}
		if _, drop := value.(noValue); !drop {
			resolved[key] = value
		}
	}
	return resolved, nil
}

func (r *Resolver) list(path string, list []any) (any, error) {
	resolved := make([]any, 0, len(list))
	for i, item := range list {
		value, err := r.value(path+"/"+strconv.Itoa(i), item)
		if err != nil {
			return nil, err
		}
		if _, drop := value.(noValue); !drop {
			resolved = append(resolved, value)
		}
	}
	return resolved, nil
}

// ref evaluates Ref.
func (r *Resolver) ref(argument any) (any, error) {
	name, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("Ref takes the name of a parameter or resource, not %s", KindOf(argument))
	}
	if name == "AWS::NoValue" {
		return noValue{}, nil
	}
	return r.lookUp(reference{Name: name})
}

// getAtt evaluates Fn::GetAtt. The attribute's name may itself be a Ref to a
// parameter.
func (r *Resolver) getAtt(argument any) (any, error) {
	resolved, err := r.value("Fn::GetAtt", argument)
	if err != nil {
		return nil, err
	}
	ref, err := getAttReference(resolved)
	if err != nil {
		return nil, err
	}
	return r.lookUp(ref)
}

func (r *Resolver) lookUp(ref reference) (any, error) {
	if value, ok := r.Values[ref.Name]; ok && ref.Attribute == "" {
		return value, nil
	}
	if r.Resource == nil {
		return nil, fmt.Errorf("%s is not a parameter; resources cannot be referred to here", ref.Name)
	}
	return r.Resource(ref.Name, ref.Attribute)
}

// sub evaluates Fn::Sub.
func (r *Resolver) sub(argument any) (any, error) {
	text, variables, err := subArguments(argument)
	if err != nil {
		return nil, err
	}
	var parts []any
	end := 0
	for _, at := range subVariable().FindAllStringSubmatchIndex(text, -1) {
		parts = append(parts, text[end:at[0]])
		end = at[1]
		part, err := r.subPart(text[at[2]:at[3]], variables)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return concatenate("Fn::Sub", "", append(parts, text[end:]))
}

// subPart evaluates what stands between ${ and }.
func (r *Resolver) subPart(name string, variables map[string]any) (any, error) {
	if literal, ok := strings.CutPrefix(name, "!"); ok {
		return "${" + literal + "}", nil
	}
	if value, ok := variables[name]; ok {
		return r.value("Fn::Sub/"+name, value)
	}
	return r.lookUp(parseReference(name))
}

// join evaluates Fn::Join.
func (r *Resolver) join(argument any) (any, error) {
	arguments, err := r.arguments("Fn::Join", argument, "a delimiter and a list", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	delimiter, isText := arguments[0].(string)
	items, isList := arguments[1].([]any)
	if !isText || !isList {
		return nil, fmt.Errorf("Fn::Join takes a delimiter and a list, not %s and %s", KindOf(arguments[0]), KindOf(arguments[1]))
	}
	return concatenate("Fn::Join", delimiter, items)
}

// concatenate joins scalars; the result is unknown if one of them is.
func concatenate(name, delimiter string, items []any) (any, error) {
	texts := make([]string, len(items))
	for i, item := range items {
		switch item.(type) {
		case Unknown:
			return Unknown{}, nil
		case map[string]any, []any, nil, noValue:
			return nil, fmt.Errorf("%s can join strings only; an item is %s", name, KindOf(item))
		}
		texts[i] = ScalarText(item)
	}
	return strings.Join(texts, delimiter), nil
}

// split evaluates Fn::Split.
func (r *Resolver) split(argument any) (any, error) {
	arguments, err := r.arguments("Fn::Split", argument, "a delimiter and a string", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	delimiter, isText := arguments[0].(string)
	text, isTextToo := arguments[1].(string)
	if !isText || !isTextToo || delimiter == "" {
		return nil, fmt.Errorf("Fn::Split takes a delimiter and a string, not %s and %s", KindOf(arguments[0]), KindOf(arguments[1]))
	}
	parts := []any{}
	for _, part := range strings.Split(text, delimiter) {
		parts = append(parts, part)
	}
	return parts, nil
}

// selectItem evaluates Fn::Select.
func (r *Resolver) selectItem(argument any) (any, error) {
	arguments, err := r.arguments("Fn::Select", argument, "an index and a list", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	index, err := strconv.Atoi(ScalarText(arguments[0]))
	items, isList := arguments[1].([]any)
	if err != nil || !isList {
		return nil, fmt.Errorf("Fn::Select takes an index and a list, not %s and %s", KindOf(arguments[0]), KindOf(arguments[1]))
	}
	if index < 0 || index >= len(items) {
		return nil, fmt.Errorf("Fn::Select cannot select index %d of a list of %d", index, len(items))
	}
	return items[index], nil
}

// base64 evaluates Fn::Base64.
func (r *Resolver) base64(argument any) (any, error) {
	value, err := r.value("Fn::Base64", argument)
	if err != nil {
		return nil, err
	}
	if _, ok := value.(Unknown); ok {
		return value, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("Fn::Base64 takes a string, not %s", KindOf(value))
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), nil
}

// findInMap evaluates Fn::FindInMap.
func (r *Resolver) findInMap(argument any) (any, error) {
	arguments, err := r.arguments("Fn::FindInMap", argument, "the names of a mapping and two keys", 3, 3)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	keys := [3]string{}
	for i, key := range arguments {
		keys[i] = ScalarText(key)
	}
	value, ok := r.Template.Mappings[keys[0]][keys[1]][keys[2]]
	if !ok {
		return nil, fmt.Errorf("Fn::FindInMap finds nothing at Mappings/%s/%s/%s", keys[0], keys[1], keys[2])
	}
	return value, nil
}

// importValue evaluates Fn::ImportValue.
func (r *Resolver) importValue(argument any) (any, error) {
	name, err := r.value("Fn::ImportValue", argument)
	if err != nil {
		return nil, err
	}
	if r.Exported == nil {
		return nil, fmt.Errorf("Fn::ImportValue cannot be used here")
	}
	return r.Exported(ScalarText(name))
}

// arguments resolves a function's list of arguments. It returns nil if one of
// them is unknown, because then so is the function's value.
func (r *Resolver) arguments(name string, argument any, what string, least, most int) ([]any, error) {
	list, ok := argument.([]any)
	if !ok || len(list) < least || len(list) > most {
		return nil, fmt.Errorf("%s takes a list of %s", name, what)
	}
	resolved := make([]any, len(list))
	for i, item := range list {
		value, err := r.value(name+"/"+strconv.Itoa(i), item)
		if err != nil {
			return nil, err
		}
		if _, ok := value.(Unknown); ok {
			return nil, nil
		}
		resolved[i] = value
	}
	return resolved, nil
}
