package deploy

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A template is what CloudFormation says of the deployment's template.
type template struct {
	parameters   []string
	capabilities []types.Capability
}

// summary has the template read by CloudFormation and checks the parameters as
// far as its summary allows. CreateChangeSet checks the rest, before anything
// is made.
func (r *run) summary(ctx context.Context) (template, error) {
	out, err := r.client.GetTemplateSummary(ctx, &cloudformation.GetTemplateSummaryInput{TemplateBody: &r.Template})
	if err != nil {
		return template{}, invalidIf(err, "read the template")
	}
	t := template{capabilities: out.Capabilities}
	choices := map[string][]string{}
	for _, parameter := range out.Parameters {
		name := aws.ToString(parameter.ParameterKey)
		t.parameters = append(t.parameters, name)
		if parameter.ParameterConstraints != nil {
			choices[name] = parameter.ParameterConstraints.AllowedValues
		}
	}
	slices.Sort(t.parameters)
	return t, r.checkParameters(t, choices)
}

func (r *run) checkParameters(t template, choices map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		value := r.Parameters[name]
		switch {
		case !slices.Contains(t.parameters, name):
			return invalid("there is no parameter %q: the template has %s", name, cmp.Or(strings.Join(t.parameters, ", "), "none"))
		case len(choices[name]) > 0 && !slices.Contains(choices[name], value):
			return invalid("parameter %s is %q: give one of %s", name, value, strings.Join(choices[name], ", "))
		}
	}
	return nil
}

// values are the parameters of a change set: what was given, and the values
// that the stack has. The template's defaults are left to CloudFormation.
func (t template) values(given map[string]string, stack *types.Stack) (values []types.Parameter) {
	for _, name := range t.parameters {
		value, ok := given[name]
		switch {
		case ok:
			values = append(values, types.Parameter{ParameterKey: aws.String(name), ParameterValue: &value})
		case stack != nil && has(stack, name):
			values = append(values, types.Parameter{ParameterKey: aws.String(name), UsePreviousValue: aws.Bool(true)})
		}
	}
	return values
}

// made reports whether a stack may have been made from the template, or an
// earlier version of it.
func (t template) made(stack *types.Stack) bool {
	return len(t.parameters) == 0 || slices.ContainsFunc(t.parameters, func(name string) bool { return has(stack, name) })
}

func has(stack *types.Stack, parameter string) bool {
	return slices.ContainsFunc(stack.Parameters, func(p types.Parameter) bool { return aws.ToString(p.ParameterKey) == parameter })
}
