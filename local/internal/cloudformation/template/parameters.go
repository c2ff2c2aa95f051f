package template

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Parameter is one entry of a template's Parameters.
type Parameter struct {
	Type                  string
	Default               any
	Description           string
	NoEcho                any
	AllowedValues         []any
	AllowedPattern        string
	ConstraintDescription string
	MinLength             any
	MaxLength             any
	MinValue              any
	MaxValue              any
}

// Types of parameters. Those with a list are split at commas; those of the
// parameter store name a parameter whose value is used.
const (
	typeString     = "String"
	typeNumber     = "Number"
	typeNumberList = "List<Number>"
	typeCommaList  = "CommaDelimitedList"
	typeSSM        = "AWS::SSM::Parameter::Value<String>"
	typeSSMList    = "AWS::SSM::Parameter::Value<List<String>>"
)

var parameterTypes = []string{typeString, typeNumber, typeNumberList, typeCommaList, typeSSM, typeSSMList}

// NoEchoMask stands for the value of a NoEcho parameter in every answer.
const NoEchoMask = "****"

// check verifies a declaration.
func (p Parameter) check(name string) error {
	if !slices.Contains(parameterTypes, p.Type) {
		return fmt.Errorf("Parameters/%s has Type %q; the local engine knows %s",
			name, p.Type, strings.Join(parameterTypes, ", "))
	}
	if _, err := regexp.Compile(p.AllowedPattern); err != nil {
		return fmt.Errorf("Parameters/%s has an AllowedPattern that is not a regular expression: %w", name, err)
	}
	return nil
}

// IsSecret reports whether the parameter's value must not be shown.
func (p Parameter) IsSecret() bool { return ScalarText(p.NoEcho) == "true" }

// List reports whether the parameter's value is a list.
func (p Parameter) List() bool {
	return p.Type == typeNumberList || p.Type == typeCommaList || p.Type == typeSSMList
}

// ParameterValue is what a stack's parameter was given, and for a parameter
// of the parameter store also what that stood for.
type ParameterValue struct {
	Given    string
	Resolved string `json:",omitempty"`
}

// Text is the value that the template sees.
func (v ParameterValue) Text(p Parameter) string {
	if p.Type == typeSSM || p.Type == typeSSMList {
		return v.Resolved
	}
	return v.Given
}

// ChooseParameters takes each parameter's value from the request, from the
// deployed stack if the request says UsePreviousValue, or from its default.
func ChooseParameters(declared map[string]Parameter, given []types.Parameter, previous map[string]ParameterValue) (map[string]ParameterValue, error) {
	requested := make(map[string]types.Parameter, len(given))
	var stray []string
	for _, p := range given {
		name := aws.ToString(p.ParameterKey)
		if _, ok := declared[name]; !ok {
			stray = append(stray, name)
		}
		requested[name] = p
	}
	if len(stray) > 0 {
		return nil, mistake("Parameters: [%s] do not exist in the template", strings.Join(stray, ", "))
	}
	values := make(map[string]ParameterValue, len(declared))
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		value, ok := chooseParameter(declared[name], name, requested, previous)
		if !ok {
			missing = append(missing, name)
			continue
		}
		if err := declared[name].admit(name, value); err != nil {
			return nil, err
		}
		values[name] = ParameterValue{Given: value}
	}
	if len(missing) > 0 {
		return nil, mistake("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return values, nil
}

func chooseParameter(p Parameter, name string, requested map[string]types.Parameter, previous map[string]ParameterValue) (string, bool) {
	given, ok := requested[name]
	switch {
	case ok && aws.ToBool(given.UsePreviousValue):
		value, deployed := previous[name]
		return value.Given, deployed
	case ok && given.ParameterValue != nil:
		return *given.ParameterValue, true
	case p.Default != nil:
		return ScalarText(p.Default), true
	}
	return "", false
}

// admit verifies a value against the declaration's constraints.
func (p Parameter) admit(name, value string) error {
	elements := []string{value}
	if p.Type == typeCommaList || p.Type == typeNumberList {
		elements = SplitList(value)
	}
	for _, element := range elements {
		if why := p.objection(element); why != "" {
			if p.ConstraintDescription != "" {
				why = p.ConstraintDescription
			}
			return mistake("Parameter '%s' %s", name, why)
		}
	}
	return nil
}

// objection says which constraint a value breaks, in CloudFormation's words; ""
// if none.
func (p Parameter) objection(value string) string {
	if why := p.outOfRange(value); why != "" {
		return why
	}
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, func(v any) bool { return ScalarText(v) == value }) {
		return "must be one of AllowedValues"
	}
	if p.AllowedPattern != "" && !regexp.MustCompile("^(?:"+p.AllowedPattern+")$").MatchString(value) {
		return "must match pattern " + p.AllowedPattern
	}
	if limit, ok := number(p.MinLength); ok && float64(len([]rune(value))) < limit {
		return fmt.Sprintf("must contain at least %v characters", limit)
	}
	if limit, ok := number(p.MaxLength); ok && float64(len([]rune(value))) > limit {
		return fmt.Sprintf("must contain at most %v characters", limit)
	}
	return ""
}

// outOfRange checks a number; any other type passes.
func (p Parameter) outOfRange(value string) string {
	if p.Type != typeNumber && p.Type != typeNumberList {
		return ""
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return "must be a number"
	}
	if limit, ok := number(p.MinValue); ok && n < limit {
		return fmt.Sprintf("must be a number not less than %v", limit)
	}
	if limit, ok := number(p.MaxValue); ok && n > limit {
		return fmt.Sprintf("must be a number not greater than %v", limit)
	}
	return ""
}

// A ParameterStore answers what AWS Systems Manager's Parameter Store holds.
type ParameterStore interface {
	// Value returns the value of the named parameter, and false if there is
	// none.
	Value(ctx context.Context, name string) (string, bool, error)
}

// LookUp fills in the values of the parameters that name an entry of the
// parameter store.
func LookUp(ctx context.Context, store ParameterStore, declared map[string]Parameter, values map[string]ParameterValue) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, value := declared[name], values[name]
		if p.Type != typeSSM && p.Type != typeSSMList {
			continue
		}
		var found bool
		var err error
		if store != nil {
			value.Resolved, found, err = store.Value(ctx, value.Given)
		}
		if err != nil {
			return err
		}
		if !found {
			return mistake("Unable to fetch parameters [%s] from parameter store for this account. Parameter %s has type %s and the local engine holds no such parameter%s",
				value.Given, name, p.Type, bootstrapHint(name))
		}
		values[name] = value
	}
	return nil
}

// bootstrapHint says what to do about the parameter that the CDK adds to stacks
// by default.
func bootstrapHint(name string) string {
	if name != "BootstrapVersion" {
		return "."
	}
	return ": it stands for the CDK's bootstrap stack, which a local deployment does not need. Synthesize the stack with BootstraplessSynthesizer."
}

// SplitList reads a comma-separated list; space around elements does not count.
func SplitList(text string) []string {
	if text == "" {
		return nil
	}
	elements := strings.Split(text, ",")
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return elements
}

// ScalarText writes a string, number or boolean as CloudFormation does; "" for
// anything else.
func ScalarText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		return strconv.Itoa(v)
	}
	return ""
}

// number reads a limit that may be written as a number or a string.
func number(value any) (float64, bool) {
	n, err := strconv.ParseFloat(ScalarText(value), 64)
	return n, err == nil
}
