package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Error is a mistake in a template, or in what its parameters are given.
type Error string

func (e Error) Error() string { return string(e) }

func mistake(format string, args ...any) error { return Error(fmt.Sprintf(format, args...)) }

// Template is a parsed template. Values are JSON's: map[string]any, []any,
// string, json.Number, bool and nil.
type Template struct {
	AWSTemplateFormatVersion string
	Description              string
	Metadata                 map[string]any
	Parameters               map[string]Parameter
	Mappings                 map[string]map[string]map[string]any
	Conditions               map[string]any
	Rules                    map[string]rule
	Resources                map[string]Resource
	Outputs                  map[string]output
}

// Resource is one entry of a template's Resources.
type Resource struct {
	Type                string
	Properties          map[string]any
	DependsOn           stringList
	Condition           string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            map[string]any
}

// output is one entry of a template's Outputs.
type output struct {
	Description string
	Value       any
	Condition   string
	Export      *struct{ Name any }
}

// rule is one entry of a template's Rules.
type rule struct {
	RuleCondition any
	Assertions    []struct {
		Assert            any
		AssertDescription string
	}
}

// stringList is a string or a list of strings, as DependsOn allows.
type stringList []string

func (l *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// unsupported names the parts of a template that exist on AWS and not here.
var unsupported = map[string]string{
	"Transform":      "macros are not expanded by the local engine: give it the processed template",
	"Hooks":          "the local engine has no hooks",
	"CreationPolicy": "the local engine sends no signals",
	"UpdatePolicy":   "none of the local engine's resource types has an update policy",
	"Fn::Transform":  "macros are not expanded by the local engine: give it the processed template",
}

// Parse reads a template body and checks everything that does not
// depend on parameters.
func Parse(body string) (*Template, error) {
	tree, err := parseBody(body)
	if err != nil {
		return nil, mistake("Template format error: %v", err)
	}
	t := new(Template)
	if err := decodeTemplate(tree, t); err != nil {
		return nil, mistake("Template format error: %v", err)
	}
	if err := t.check(); err != nil {
		return nil, mistake("Template format error: %v", err)
	}
	return t, nil
}

// parseBody reads JSON if the body is JSON, and YAML otherwise.
func parseBody(body string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err == nil && !decoder.More() {
		return tree, nil
	}
	return parseYAML(body)
}

// decodeTemplate fills a template section by section, so that an error can say
// where it is.
func decodeTemplate(tree any, t *Template) error {
	top, ok := tree.(map[string]any)
	if !ok {
		return fmt.Errorf("the template is %s where an object with Resources is needed", KindOf(tree))
	}
	plain := maps.Clone(top)
	for _, section := range []string{"Parameters", "Rules", "Resources", "Outputs"} {
		delete(plain, section)
	}
	if err := decode("the template", plain, t); err != nil {
		return err
	}
	if err := decodeSection(top, "Parameters", &t.Parameters); err != nil {
		return err
	}
	if err := decodeSection(top, "Rules", &t.Rules); err != nil {
		return err
	}
	if err := decodeSection(top, "Resources", &t.Resources); err != nil {
		return err
	}
	return decodeSection(top, "Outputs", &t.Outputs)
}

// decodeSection decodes each member of one of the template's sections.
func decodeSection[T any](top map[string]any, name string, into *map[string]T) error {
	raw, present := top[name]
	if !present {
		return nil
	}
	section, ok := raw.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %s where an object is needed", name, KindOf(raw))
	}
	*into = make(map[string]T, len(section))
	for _, id := range slices.Sorted(maps.Keys(section)) {
		var member T
		if err := decode(name+"/"+id, section[id], &member); err != nil {
			return err
		}
		(*into)[id] = member
	}
	return nil
}

// decode fills a struct from a value, and refuses a key that the struct does
// not have under exactly that name.
func decode(path string, value any, into any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %s where an object is needed", path, KindOf(value))
	}
	known := reflect.TypeOf(into).Elem()
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if why, ok := unsupported[key]; ok {
			return fmt.Errorf("%s has %s: %s", path, key, why)
		}
		if _, ok := known.FieldByName(key); !ok {
			return fmt.Errorf("invalid template property %s in %s", key, path)
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// alphanumeric is what CloudFormation requires of logical ids.
var alphanumeric = lazyregexp.New(`^[A-Za-z0-9]{1,255}$`)

// deletionPolicies are the values that DeletionPolicy may have here; no type
// of the local engine can be snapshotted.
var deletionPolicies = []string{"", policyDelete, PolicyRetain, PolicyRetainExceptOnCreate}

const (
	policyDelete               = "Delete"
	PolicyRetain               = "Retain"
	PolicyRetainExceptOnCreate = "RetainExceptOnCreate"
)

// check verifies names, references and the order of resources.
func (t *Template) check() error {
	if v := t.AWSTemplateFormatVersion; v != "" && v != "2010-09-09" {
		return fmt.Errorf("AWSTemplateFormatVersion is %q; write 2010-09-09", v)
	}
	if len(t.Resources) == 0 {
		return fmt.Errorf("At least one Resources member must be defined.") //nolint:staticcheck // CloudFormation's own words
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if err := t.checkResource(id, t.Resources[id]); err != nil {
			return err
		}
	}
	if err := t.checkNames(); err != nil {
		return err
	}
	if err := t.checkReferences(); err != nil {
		return err
	}
	_, err := Order(t.Dependencies())
	return err
}

// checkResource verifies one resource's attributes, not its properties.
func (t *Template) checkResource(id string, r Resource) error {
	switch {
	case !alphanumeric().MatchString(id):
		return fmt.Errorf("Resource name %s is non alphanumeric.", id) //nolint:staticcheck // CloudFormation's own words
	case r.Type == "":
		return fmt.Errorf("[/Resources/%s] Every Resources object must contain a Type member.", id) //nolint:staticcheck // CloudFormation's own words
	case !slices.Contains(deletionPolicies, r.DeletionPolicy):
		return fmt.Errorf("Resources/%s has DeletionPolicy %q; write Delete, Retain or RetainExceptOnCreate", id, r.DeletionPolicy)
	case !slices.Contains(deletionPolicies[:3], r.UpdateReplacePolicy):
		return fmt.Errorf("Resources/%s has UpdateReplacePolicy %q; write Delete or Retain", id, r.UpdateReplacePolicy)
	}
	return t.checkCondition("Resources/"+id, r.Condition)
}

// checkNames verifies outputs, and that parameters and resources do not share a
// name.
func (t *Template) checkNames() error {
	for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
		o := t.Outputs[id]
		if !alphanumeric().MatchString(id) {
			return fmt.Errorf("Output name %s is non alphanumeric.", id) //nolint:staticcheck // CloudFormation's own words
		}
		if o.Value == nil {
			return fmt.Errorf("Outputs/%s has no Value", id)
		}
		if err := t.checkCondition("Outputs/"+id, o.Condition); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Parameters)) {
		if _, both := t.Resources[id]; both {
			return fmt.Errorf("%s is the name of a parameter and of a resource; rename one", id)
		}
		if err := t.Parameters[id].check(id); err != nil {
			return err
		}
	}
	return nil
}

// checkCondition verifies that a Condition attribute names a condition.
func (t *Template) checkCondition(path, name string) error {
	if name == "" {
		return nil
	}
	if _, ok := t.Conditions[name]; !ok {
		return fmt.Errorf("%s has Condition %s, which the template's Conditions do not define", path, name)
	}
	return nil
}

// KindOf names a value's kind for error messages.
func KindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case Unknown:
		return "a value known after creation"
	default:
		return "a number"
	}
}
