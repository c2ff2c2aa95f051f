package template

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

func given(pairs ...string) []types.Parameter {
	var list []types.Parameter
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.Parameter{ParameterKey: aws.String(pairs[i]), ParameterValue: aws.String(pairs[i+1])})
	}
	return list
}

func TestParametersAreHeldAgainstTheirDeclaration(t *testing.T) {
	declared := map[string]Parameter{
		"P": {Type: typeString, Default: "a", AllowedValues: []any{"a", "b"}},
		"Q": {Type: typeString, Default: "x1", AllowedPattern: "[a-z][0-9]", ConstraintDescription: ""},
		"N": {Type: typeNumber, Default: 5, MinValue: 1, MaxValue: "10"},
		"L": {Type: typeString, Default: "abc", MinLength: 2, MaxLength: 3},
		"C": {Type: typeNumberList, Default: "1, 2"},
		"W": {Type: typeString, Default: "x", AllowedPattern: "x", ConstraintDescription: "must be x, really"},
	}
	for _, c := range []struct {
		given []types.Parameter
		want  string
	}{
		{given("P", "c"), "Parameter 'P' must be one of AllowedValues"},
		{given("Q", "x12"), "Parameter 'Q' must match pattern [a-z][0-9]"},
		{given("N", "0"), "Parameter 'N' must be a number not less than 1"},
		{given("N", "11"), "Parameter 'N' must be a number not greater than 10"},
		{given("N", "many"), "Parameter 'N' must be a number"},
		{given("L", "a"), "Parameter 'L' must contain at least 2 characters"},
		{given("L", "abcd"), "Parameter 'L' must contain at most 3 characters"},
		{given("C", "1,b"), "Parameter 'C' must be a number"},
		{given("W", "y"), "Parameter 'W' must be x, really"},
		{given("X", "y", "Y", "z"), "Parameters: [X, Y] do not exist in the template"},
	} {
		_, err := ChooseParameters(declared, c.given, nil)
		wantMistake(t, err, c.want)
	}
	values, err := ChooseParameters(declared, given("P", "b"), nil)
	noError(t, err)
	if values["P"].Given != "b" || values["N"].Given != "5" {
		t.Errorf("values: %v", values)
	}
}

// onlyParameter is a parameter store that holds one parameter.
type onlyParameter struct{ name, value string }

func (p onlyParameter) Value(_ context.Context, name string) (string, bool, error) {
	return p.value, name == p.name, nil
}

func TestParametersOfTheParameterStoreAreLookedUp(t *testing.T) {
	declared := map[string]Parameter{"BootstrapVersion": {Type: typeSSM, Default: "/cdk-bootstrap/hnb659fds/version"}}
	values, err := ChooseParameters(declared, nil, nil)
	noError(t, err)
	noError(t, LookUp(t.Context(), onlyParameter{"/cdk-bootstrap/hnb659fds/version", "21"}, declared, values))
	if got := values["BootstrapVersion"].Text(declared["BootstrapVersion"]); got != "21" {
		t.Errorf("the version is %q", got)
	}
	err = LookUp(t.Context(), nil, declared, values)
	wantMistake(t, err, "Synthesize the stack with BootstraplessSynthesizer")
}
