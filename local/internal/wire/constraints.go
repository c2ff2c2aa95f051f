package wire

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// constraintsFile lists the values that AWS's API models allow for the members
// of requests. tools/constraints.py writes it.
//
//go:embed constraints.json
var constraintsFile []byte

// A constraint limits the values of a member. Min and Max bound the number of a
// text's characters, the number of a list's items, or the value of a number.
type constraint struct {
	Min, Max  *float64
	Pattern   *javaPattern
	Items     *constraint
	Required  bool
	Sensitive bool // errors do not repeat the value
}

// constraints are those of a service, by the Go names of its structs and the
// names of their members on the wire.
type constraints map[string]map[string]constraint

// allConstraints returns the constraints of each service, by its name. The
// first call reads them, so that a command without an engine starts sooner.
var allConstraints = sync.OnceValue(func() map[string]constraints {
	var all map[string]constraints
	if err := json.Unmarshal(constraintsFile, &all); err != nil {
		panic(err) // a test reads it too
	}
	return all
})

// A javaPattern is a regular expression that a whole text must match, as in
// Java.
type javaPattern struct {
	text string
	form *regexp.Regexp
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *javaPattern) UnmarshalText(text []byte) (err error) {
	p.text = string(text)
	p.form, err = regexp.Compile("^(?s:" + p.text + ")$")
	return err
}

// A checker collects the violations of a request.
type checker struct {
	constraints constraints
	names       *naming
	problems    []string
	ecr         bool // ECR has words of its own
}

// check returns an error in AWS's words if the input has values that the API
// model does not allow.
func (s service) check(input any, names *naming) error {
	if s.constraints == nil {
		return nil
	}
	c := &checker{constraints: s.constraints, names: names, ecr: s.name == "ecr"}
	c.object("", reflect.ValueOf(input).Elem())
	if len(c.problems) == 0 {
		return nil
	}
	if c.ecr {
		return clientError(invalidCodes[s.name], "%s", strings.Join(c.problems, "; "))
	}
	noun := "errors"
	if len(c.problems) == 1 {
		noun = "error"
	}
	return clientError(invalidCodes[s.name], "%d validation %s detected: %s", len(c.problems), noun, strings.Join(c.problems, "; "))
}

// invalidCodes maps a service to the error code of invalid input.
var invalidCodes = map[string]string{
	"cloudformation": "ValidationError",
	"codebuild":      "InvalidInputException",
	"ecr":            "InvalidParameterException",
	"iam":            "ValidationError",
	"logs":           "InvalidParameterException",
	"secretsmanager": "ValidationException",
	"ssm":            "ValidationException",
	"sts":            "ValidationError",
}

func (c *checker) object(path string, v reflect.Value) {
	allowed := c.constraints[v.Type().Name()]
	for _, m := range c.names.members(v.Type()) {
		name := m.name
		if path != "" {
			name = path + "." + lowerFirst(name)
		} else {
			name = lowerFirst(name)
		}
		c.member(name, v.Field(m.index), allowed[m.name])
	}
}

func (c *checker) member(path string, v reflect.Value, allowed constraint) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case v.Type() == timeType || v.Kind() == reflect.Interface:
	case v.Kind() == reflect.Pointer || v.Kind() != reflect.Struct && v.IsZero() && !given(v):
		if allowed.Required && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map || v.Kind() == reflect.String) {
			c.add(path, "null", allowed, "Member must not be null")
		}
	case v.Kind() == reflect.Struct:
		c.object(path, v)
	case v.Kind() == reflect.Slice && v.Type() != bytesType:
		c.size(path, "["+strconv.Itoa(v.Len())+" items]", v.Len(), allowed)
		for i := range v.Len() {
			c.member(fmt.Sprintf("%s.%d.member", path, i+1), v.Index(i), allowed.items())
		}
	case v.Kind() == reflect.Map:
		c.size(path, "{"+strconv.Itoa(v.Len())+" entries}", v.Len(), allowed)
	default:
		c.scalar(path, v, allowed)
	}
}

// given reports whether a zero value was given by the caller. An empty text
// was. The zero of an enumeration, and of a number or a boolean without a
// pointer, looks the same whether or not it was given, and counts as not given.
func given(v reflect.Value) bool {
	return v.Kind() == reflect.String && v.Type().Name() == "string"
}

func (a constraint) items() constraint {
	if a.Items == nil {
		return constraint{}
	}
	return *a.Items
}

func (c *checker) scalar(path string, v reflect.Value, allowed constraint) {
	switch v.Kind() {
	case reflect.String:
		c.text(path, v.String(), allowed)
		c.enumeration(path, v, allowed)
	case reflect.Slice:
		c.size(path, fmt.Sprintf("[%d bytes]", v.Len()), v.Len(), allowed)
	case reflect.Int32, reflect.Int64:
		c.number(path, float64(v.Int()), allowed)
	case reflect.Float32, reflect.Float64:
		c.number(path, v.Float(), allowed)
	}
}

func (c *checker) text(path, text string, allowed constraint) {
	c.size(path, text, utf8.RuneCountInString(text), allowed)
	if allowed.Pattern != nil && !allowed.Pattern.form.MatchString(text) {
		c.add(path, text, allowed, "Member must satisfy regular expression pattern: "+allowed.Pattern.text)
	}
}

func (c *checker) size(path, value string, size int, allowed constraint) {
	if allowed.Min != nil && float64(size) < *allowed.Min {
		c.add(path, value, allowed, "Member must have length greater than or equal to "+decimal(*allowed.Min))
	}
	if allowed.Max != nil && float64(size) > *allowed.Max {
		c.add(path, value, allowed, "Member must have length less than or equal to "+decimal(*allowed.Max))
	}
}

func (c *checker) number(path string, value float64, allowed constraint) {
	if allowed.Min != nil && value < *allowed.Min {
		c.add(path, decimal(value), allowed, "Member must have value greater than or equal to "+decimal(*allowed.Min))
	}
	if allowed.Max != nil && value > *allowed.Max {
		c.add(path, decimal(value), allowed, "Member must have value less than or equal to "+decimal(*allowed.Max))
	}
}

func decimal(value float64) string {
	if value == math.Trunc(value) {
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// enumeration refuses a value that the SDK's enumeration does not have.
func (c *checker) enumeration(path string, v reflect.Value, allowed constraint) {
	values := v.MethodByName("Values")
	if !values.IsValid() || v.Len() == 0 {
		return
	}
	known := values.Call(nil)[0]
	names := make([]string, known.Len())
	for i := range names {
		names[i] = known.Index(i).String()
	}
	if !slices.Contains(names, v.String()) {
		c.add(path, v.String(), allowed, "Member must satisfy enum value set: ["+strings.Join(names, ", ")+"]")
	}
}

// longestValue is the number of bytes of a value that an error repeats at most.
const longestValue = 256

func (c *checker) add(path, value string, allowed constraint, rule string) {
	switch {
	case allowed.Sensitive:
		value = "***sensitiveInformation***"
	case len(value) > longestValue:
		value = strings.ToValidUTF8(value[:longestValue], "") + "…"
	}
	if c.ecr {
		c.problems = append(c.problems, fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s': it is %q", path, rule, value))
		return
	}
	if value != "null" {
		value = "'" + value + "'"
	}
	c.problems = append(c.problems, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, path, rule))
}
