package resources

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// A Schema names everything that a template may say about a resource type.
// What it does not name fails the stack.
type Schema struct {
	Properties map[string]Property
	// Attributes are the names for Fn::GetAtt.
	Attributes []string
	// Capability is what the caller must acknowledge to make such a resource;
	// NamedBy is the property that raises it to CAPABILITY_NAMED_IAM.
	Capability string
	NamedBy    string
}

// A Kind is the kind of value a property takes.
type Kind int

const (
	// String takes strings, numbers and booleans, as CloudFormation does.
	String Kind = iota
	// Integer takes whole numbers, also as strings.
	Integer
	// Boolean takes true and false, also as strings.
	Boolean
	// Object takes the Fields.
	Object
	// List takes Items.
	List
	// JSON takes any object, such as a policy document.
	JSON
)

// A Property is what a schema says about one property.
type Property struct {
	Kind     Kind
	Required bool
	// CreateOnly marks a property whose change replaces the resource.
	CreateOnly bool
	// Values, if any, are the strings that the local engine can work with.
	Values []string
	// Refused says why the local engine cannot do what the property asks;
	// a template that sets it fails by name.
	Refused string
	// Check, if any, checks a value of the right kind; parts of it may be
	// known only later, and then pass.
	Check func(value any) error
	// Inert says why the property is accepted though it has no effect here.
	Inert string

	Fields map[string]Property // of an Object
	Items  *Property           // of a List; nil means strings
}

// tagList is the property Tags of the types that have it.
var tagList = Property{Kind: List, Items: &Property{Kind: Object, Fields: map[string]Property{
	"Key":   {Required: true},
	"Value": {Required: true},
}}}

// Check verifies a resource's properties and returns them with the kinds the
// schema promises to providers. All problems are reported, each with its path.
func (s Schema) Check(properties map[string]any) (map[string]any, []string) {
	checker := new(checker)
	checked := checker.object("", properties, s.Properties)
	return checked, checker.problems
}

// CreateOnly reports whether a change of the named property replaces the
// resource.
func (s Schema) CreateOnly(property string) bool { return s.Properties[property].CreateOnly }

// checker collects what is wrong with a resource's properties.
type checker struct{ problems []string }

func (c *checker) report(path, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("property %s ", path)+fmt.Sprintf(format, args...))
}

// object checks an object against the fields it may have.
func (c *checker) object(path string, object map[string]any, fields map[string]Property) map[string]any {
	checked := make(map[string]any, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"/"+name, "/")
		property, known := fields[name]
		switch {
		case !known:
			c.report(at, "is not one that the local engine knows")
		case property.Refused != "":
			c.report(at, "cannot be used with the local engine: %s", property.Refused)
		case object[name] != nil:
			checked[name] = c.value(at, object[name], property)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, set := object[name]; fields[name].Required && !set {
			c.report(strings.TrimPrefix(path+"/"+name, "/"), "is required")
		}
	}
	return checked
}

// value checks one value. An unknown value passes: it is checked again when it
// is known.
func (c *checker) value(path string, value any, p Property) any {
	if _, later := value.(template.Unknown); later {
		return value
	}
	checked := c.check(path, value, p)
	if p.Check != nil && checked != nil {
		if err := p.Check(checked); err != nil {
			c.report(path, "%v", err)
		}
	}
	return checked
}

// check checks a value of a property's kind.
func (c *checker) check(path string, value any, p Property) any {
	switch p.Kind {
	case Integer:
		return c.integer(path, value, p)
	case Boolean:
		return c.boolean(path, value, p)
	case Object:
		return c.objectValue(path, value, p)
	case List:
		return c.list(path, value, p)
	case JSON:
		return c.document(path, value, p)
	}
	return c.text(path, value, p)
}

func (c *checker) objectValue(path string, value any, p Property) any {
	object, ok := value.(map[string]any)
	if !ok {
		c.report(path, "is %s where an object is needed", template.KindOf(value))
		return nil
	}
	return c.object(path, object, p.Fields)
}

func (c *checker) list(path string, value any, p Property) any {
	items, ok := value.([]any)
	if !ok {
		c.report(path, "is %s where a list is needed", template.KindOf(value))
		return nil
	}
	item := Property{Kind: String}
	if p.Items != nil {
		item = *p.Items
	}
	checked := make([]any, len(items))
	for i := range items {
		checked[i] = c.value(path+"/"+strconv.Itoa(i), items[i], item)
	}
	return checked
}

func (c *checker) document(path string, value any, _ Property) any {
	if _, ok := value.(map[string]any); !ok {
		c.report(path, "is %s where a JSON object is needed", template.KindOf(value))
		return nil
	}
	return value
}

func (c *checker) text(path string, value any, p Property) any {
	text, ok := c.scalar(path, value, "a string", p)
	if !ok {
		return nil
	}
	return text
}

func (c *checker) integer(path string, value any, p Property) any {
	text, ok := c.scalar(path, value, "a whole number", p)
	n, err := strconv.ParseInt(text, 10, 64)
	if ok && err != nil {
		c.report(path, "is %q where a whole number is needed", text)
	}
	return float64(n)
}

func (c *checker) boolean(path string, value any, p Property) any {
	text, ok := c.scalar(path, value, "true or false", p)
	if ok && text != "true" && text != "false" {
		c.report(path, "is %q where true or false is needed", text)
	}
	return text == "true"
}

// scalar takes the text of a scalar value, and checks that it is one of the
// property's values.
func (c *checker) scalar(path string, value any, needed string, p Property) (string, bool) {
	switch value.(type) {
	case map[string]any, []any, nil:
		c.report(path, "is %s where %s is needed", template.KindOf(value), needed)
		return "", false
	}
	text := template.ScalarText(value)
	if len(p.Values) > 0 && !slices.Contains(p.Values, text) {
		c.report(path, "is %q; the local engine can do %s", text, strings.Join(p.Values, ", "))
		return "", false
	}
	return text, true
}

// SameJSON reports whether two values are the same once written in JSON and
// read again, which is what the store does to the properties it keeps.
func SameJSON(a, b any) bool {
	left, right := normalJSON(a), normalJSON(b)
	return left != "" && left == right
}

// normalJSON writes a value the one way that its kind allows; "" if it is not
// JSON's.
func normalJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	var plain any
	if json.Unmarshal(data, &plain) != nil {
		return ""
	}
	data, _ = json.Marshal(plain)
	return string(data)
}
