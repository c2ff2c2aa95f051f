package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// reference is a mention of a parameter or resource in a template.
type reference struct {
	Name      string
	Attribute string // "" for the resource itself
}

// pseudoParameters are the names that every template may refer to.
var pseudoParameters = []string{
	"AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition",
	"AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}

// functionOf reports which function a value calls, with what argument. An
// object calls a function if that is its only key.
func functionOf(value any) (name string, argument any, ok bool) {
	object, isObject := value.(map[string]any)
	if !isObject || len(object) != 1 {
		return "", nil, false
	}
	for key, argument := range object {
		if key == "Ref" || strings.HasPrefix(key, "Fn::") {
			return key, argument, true
		}
	}
	return "", nil, false
}

// references lists what a value mentions, each once, in a fixed order.
func references(value any) []reference {
	found := map[reference]bool{}
	collect(value, func(r reference) { found[r] = true })
	return slices.SortedFunc(maps.Keys(found), func(a, b reference) int {
		return strings.Compare(a.Name+"."+a.Attribute, b.Name+"."+b.Attribute)
	})
}

func collect(value any, add func(reference)) {
	switch function, argument, _ := functionOf(value); function {
	case "Ref":
		name, _ := argument.(string)
		add(reference{Name: name})
		return
	case "Fn::GetAtt":
		collectGetAtt(argument, add)
		return
	case "Fn::Sub":
		collectSub(argument, add)
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			collect(member, add)
		}
	case []any:
		for _, item := range v {
			collect(item, add)
		}
	}
}

// collectGetAtt lists the resource that an Fn::GetAtt mentions. The attribute's
// name may be a function too; which attribute it is then does not matter here.
func collectGetAtt(argument any, add func(reference)) {
	if r, err := getAttReference(argument); err == nil {
		add(r)
		return
	}
	if list, ok := argument.([]any); ok && len(list) == 2 {
		name, _ := list[0].(string)
		add(reference{Name: name, Attribute: "*"})
		collect(list[1], add)
	}
}

// collectSub lists what the text of an Fn::Sub mentions, apart from the
// variables that the call defines itself, and what those variables mention.
func collectSub(argument any, add func(reference)) {
	text, variables, err := subArguments(argument)
	if err != nil {
		return
	}
	for _, match := range subVariable().FindAllStringSubmatch(text, -1) {
		if _, own := variables[match[1]]; !own && !strings.HasPrefix(match[1], "!") {
			add(parseReference(match[1]))
		}
	}
	collect(variables, add)
}

// subVariable matches ${Name}, ${Resource.Attribute} and the escape ${!text}.
var subVariable = lazyregexp.New(`\$\{([^}]*)\}`)

// subArguments takes either form of Fn::Sub apart.
func subArguments(argument any) (text string, variables map[string]any, err error) {
	if text, ok := argument.(string); ok {
		return text, nil, nil
	}
	if list, ok := argument.([]any); ok && len(list) == 2 {
		text, isText := list[0].(string)
		variables, isObject := list[1].(map[string]any)
		if isText && isObject {
			return text, variables, nil
		}
	}
	return "", nil, fmt.Errorf("Fn::Sub takes a string, or a list of a string and an object of variables")
}

// getAttReference takes either form of Fn::GetAtt apart.
func getAttReference(argument any) (reference, error) {
	if text, ok := argument.(string); ok {
		argument = splitReference(text)
	}
	if list, ok := argument.([]any); ok && len(list) == 2 {
		name, isText := list[0].(string)
		attribute, isTextToo := list[1].(string)
		if isText && isTextToo && name != "" && attribute != "" {
			return reference{Name: name, Attribute: attribute}, nil
		}
	}
	return reference{}, fmt.Errorf("Fn::GetAtt takes a resource's logical id and one of its attributes, as strings")
}

func splitReference(text string) []any {
	name, attribute, _ := strings.Cut(text, ".")
	return []any{name, attribute}
}

// parseReference reads what stands between ${ and } in an Fn::Sub.
func parseReference(text string) reference {
	name, attribute, _ := strings.Cut(strings.TrimSpace(text), ".")
	return reference{Name: name, Attribute: attribute}
}

// checkReferences verifies that everything mentioned exists.
func (t *Template) checkReferences() error {
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		unresolved := t.unresolved(references(t.Resources[id].Properties))
		for _, other := range t.Resources[id].DependsOn {
			if _, ok := t.Resources[other]; !ok {
				unresolved = append(unresolved, other)
			}
		}
		if len(unresolved) > 0 {
			return unresolvedError(unresolved, "Resources", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
		if unresolved := t.unresolved(references(outputTree(t.Outputs[id]))); len(unresolved) > 0 {
			return unresolvedError(unresolved, "Outputs", id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Conditions)) {
		for _, r := range references(t.Conditions[name]) {
			if _, ok := t.Parameters[r.Name]; !ok && !slices.Contains(pseudoParameters, r.Name) {
				return fmt.Errorf("Conditions/%s refers to %s, which is not a parameter; conditions cannot depend on resources", name, r.Name)
			}
		}
	}
	return nil
}

// outputTree is everything of an output that may refer to something.
func outputTree(o output) any {
	if o.Export == nil {
		return o.Value
	}
	return []any{o.Value, o.Export.Name}
}

// unresolved names the references that nothing in the template answers.
func (t *Template) unresolved(refs []reference) []string {
	var names []string
	for _, r := range refs {
		_, isResource := t.Resources[r.Name]
		_, isParameter := t.Parameters[r.Name]
		plain := r.Attribute == "" && (isParameter || slices.Contains(pseudoParameters, r.Name))
		if !isResource && !plain {
			names = append(names, r.Name)
		}
	}
	return names
}

func unresolvedError(names []string, block, id string) error {
	//nolint:staticcheck // the first sentence is CloudFormation's own
	return fmt.Errorf("Unresolved resource dependencies [%s] in the %s block of the template (%s/%s)",
		strings.Join(names, ", "), block, block, id)
}
