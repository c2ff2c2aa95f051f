package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// condition evaluates one of the template's conditions, once.
func (r *Resolver) condition(name string) (bool, error) {
	if known, started := r.conditions[name]; started {
		if known == nil {
			return false, fmt.Errorf("condition %s depends on itself", name)
		}
		return *known, nil
	}
	expression, ok := r.Template.Conditions[name]
	if !ok {
		return false, fmt.Errorf("the template's Conditions do not define %s", name)
	}
	r.conditions[name] = nil
	result, err := r.truth("Conditions/"+name, expression)
	if err != nil {
		return false, err
	}
	r.conditions[name] = &result
	return result, nil
}

// truth evaluates an expression that must be true or false. Here, and only
// here, {"Condition": name} stands for another condition.
func (r *Resolver) truth(path string, expression any) (bool, error) {
	if object, ok := expression.(map[string]any); ok && len(object) == 1 {
		if name, ok := object["Condition"].(string); ok {
			return r.condition(name)
		}
	}
	value, err := r.value(path, expression)
	if err != nil {
		return false, err
	}
	result, err := strconv.ParseBool(ScalarText(value))
	if err != nil {
		return false, fmt.Errorf("%s is %s where true or false is needed", path, KindOf(value))
	}
	return result, nil
}

// EvaluateConditions evaluates all conditions, so that a mistake in one that
// nothing uses is found too.
func (r *Resolver) EvaluateConditions() error {
	r.conditions = make(map[string]*bool, len(r.Template.Conditions))
	for _, name := range slices.Sorted(maps.Keys(r.Template.Conditions)) {
		if _, err := r.condition(name); err != nil {
			return err
		}
	}
	return nil
}

// Holds reports whether an entry with the given Condition attribute is wanted.
func (r *Resolver) Holds(condition string) bool {
	known := r.conditions[condition]
	return condition == "" || known != nil && *known
}

// ifThenElse evaluates Fn::If; only the chosen branch is evaluated.
func (r *Resolver) ifThenElse(argument any) (any, error) {
	list, _ := argument.([]any)
	if len(list) != 3 {
		return nil, fmt.Errorf("Fn::If takes a list of a condition's name and two values")
	}
	name, ok := list[0].(string)
	if !ok {
		return nil, fmt.Errorf("Fn::If takes a condition's name first, not %s", KindOf(list[0]))
	}
	chosen, err := r.condition(name)
	if err != nil {
		return nil, err
	}
	if chosen {
		return r.value("Fn::If/1", list[1])
	}
	return r.value("Fn::If/2", list[2])
}

// equals evaluates Fn::Equals. Numbers and booleans equal their text.
func (r *Resolver) equals(argument any) (any, error) {
	arguments, err := r.arguments("Fn::Equals", argument, "two values", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	return canonical(arguments[0]) == canonical(arguments[1]), nil
}

// canonical writes a value so that equal values have equal text.
func canonical(value any) string {
	switch value.(type) {
	case map[string]any, []any, nil:
		data, _ := json.Marshal(value)
		return string(data)
	}
	return ScalarText(value)
}

// not evaluates Fn::Not.
func (r *Resolver) not(argument any) (any, error) {
	list, _ := argument.([]any)
	if len(list) != 1 {
		return nil, fmt.Errorf("Fn::Not takes a list of one condition")
	}
	result, err := r.truth("Fn::Not", list[0])
	return !result, err
}

// logical makes Fn::And and Fn::Or, which end at the first false or true.
func logical(name string) function {
	decisive := name == "Fn::Or"
	return func(r *Resolver, argument any) (any, error) {
		list, _ := argument.([]any)
		if len(list) < 2 || len(list) > 10 {
			return nil, fmt.Errorf("%s takes a list of 2 to 10 conditions", name)
		}
		for i, expression := range list {
			result, err := r.truth(name+"/"+strconv.Itoa(i), expression)
			if err != nil {
				return nil, err
			}
			if result == decisive {
				return decisive, nil
			}
		}
		return !decisive, nil
	}
}

// contains evaluates the rule function Fn::Contains.
func (r *Resolver) contains(argument any) (any, error) {
	arguments, err := r.arguments("Fn::Contains", argument, "a list and a value", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	list, ok := arguments[0].([]any)
	if !ok {
		return nil, fmt.Errorf("Fn::Contains takes a list first, not %s", KindOf(arguments[0]))
	}
	return includes(list, arguments[1]), nil
}

// eachMemberEquals evaluates the rule function Fn::EachMemberEquals.
func (r *Resolver) eachMemberEquals(argument any) (any, error) {
	arguments, err := r.arguments("Fn::EachMemberEquals", argument, "a list and a value", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	list, _ := arguments[0].([]any)
	return !slices.ContainsFunc(list, func(v any) bool { return canonical(v) != canonical(arguments[1]) }), nil
}

// eachMemberIn evaluates the rule function Fn::EachMemberIn.
func (r *Resolver) eachMemberIn(argument any) (any, error) {
	arguments, err := r.arguments("Fn::EachMemberIn", argument, "two lists", 2, 2)
	if err != nil || arguments == nil {
		return Unknown{}, err
	}
	members, _ := arguments[0].([]any)
	allowed, _ := arguments[1].([]any)
	return !slices.ContainsFunc(members, func(v any) bool { return !includes(allowed, v) }), nil
}

func includes(list []any, value any) bool {
	return slices.ContainsFunc(list, func(v any) bool { return canonical(v) == canonical(value) })
}

// CheckRules evaluates the template's rules, which check parameters before
// anything is made.
func (r *Resolver) CheckRules() error {
	for _, name := range slices.Sorted(maps.Keys(r.Template.Rules)) {
		rule := r.Template.Rules[name]
		if rule.RuleCondition != nil {
			applies, err := r.truth("Rules/"+name+"/RuleCondition", rule.RuleCondition)
			if err != nil {
				return err
			}
			if !applies {
				continue
			}
		}
		for i, assertion := range rule.Assertions {
			path := fmt.Sprintf("Rules/%s/Assertions/%d", name, i)
			holds, err := r.truth(path, assertion.Assert)
			if err != nil {
				return err
			}
			if !holds {
				return fmt.Errorf("Template constraint violated by rule %s: %s", name, assertion.AssertDescription) //nolint:staticcheck // CloudFormation's own words
			}
		}
	}
	return nil
}
