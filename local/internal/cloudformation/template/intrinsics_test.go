package template

import (
	"fmt"
	"strings"
	"testing"
)

func testResolver(t *testing.T) *Resolver {
	t.Helper()
	parsed, err := Parse(`{
		"Parameters": {"Name": {"Type": "String"}, "Zones": {"Type": "CommaDelimitedList"}},
		"Mappings": {"Sizes": {"small": {"cpu": 2, "names": ["s"]}}},
		"Conditions": {
			"Yes": {"Fn::Equals": [{"Ref": "Name"}, "app"]},
			"No": {"Fn::Not": [{"Condition": "Yes"}]},
			"Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
			"Either": {"Fn::Or": [{"Condition": "Both"}, {"Condition": "Yes"}]}},
		"Resources": {"Made": {"Type": "T"}, "Later": {"Type": "T"}}}`)
	noError(t, err)
	r := &Resolver{
		Template: parsed,
		Values:   map[string]any{"Name": "app", "Zones": []any{"a", "b"}, "AWS::Region": "us-east-1"},
		Resource: func(id, attribute string) (any, error) {
			switch id {
			case "Made":
				return strings.TrimSuffix("made-id/"+attribute, "/"), nil
			case "Later":
				return Unknown{}, nil
			}
			return nil, fmt.Errorf("no resource %s", id)
		},
		Exported: func(name string) (string, error) { return "exported " + name, nil },
	}
	noError(t, r.EvaluateConditions())
	return r
}

func TestFunctionsAreEvaluated(t *testing.T) {
	r := testResolver(t)
	const later = `"` + KnownAfterApply + `"`
	for _, c := range []struct{ expression, want string }{
		{`{"Ref": "Name"}`, `"app"`},
		{`{"Ref": "Made"}`, `"made-id"`},
		{`{"Ref": "Zones"}`, `["a","b"]`},
		{`{"Fn::GetAtt": ["Made", "Arn"]}`, `"made-id/Arn"`},
		{`{"Fn::GetAtt": "Made.Nested.Arn"}`, `"made-id/Nested.Arn"`},
		{`{"Fn::Sub": "${Name}:${Made.Arn}:${AWS::Region}:${!Name}"}`, `"app:made-id/Arn:us-east-1:${Name}"`},
		{`{"Fn::Sub": ["${x}-${Name}", {"x": {"Ref": "Made"}}]}`, `"made-id-app"`},
		{`{"Fn::Join": ["/", ["a", 1, true, {"Ref": "Name"}]]}`, `"a/1/true/app"`},
		{`{"Fn::Join": [",", {"Ref": "Zones"}]}`, `"a,b"`},
		{`{"Fn::Select": [0, {"Fn::Split": ["/", {"Fn::GetAtt": ["Made", "Uri"]}]}]}`, `"made-id"`},
		{`{"Fn::Select": ["1", ["a", "b"]]}`, `"b"`},
		{`{"Fn::Base64": "text"}`, `"dGV4dA=="`},
		{`{"Fn::FindInMap": ["Sizes", "small", "cpu"]}`, `2`},
		{`{"Fn::ImportValue": {"Fn::Sub": "${Name}-x"}}`, `"exported app-x"`},
		{`{"Fn::If": ["Yes", "a", {"Ref": "Nobody"}]}`, `"a"`},
		{`{"Fn::If": ["Either", {"Fn::If": ["Both", 1, 2]}, 3]}`, `2`},
		{`{"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": [1, {"Ref": "AWS::NoValue"}, 2]}`, `{"b":[1,2]}`},
		{`{"Ref": "Later"}`, later},
		{`{"Fn::Sub": "x-${Later.Arn}"}`, later},
		{`{"Fn::Select": [0, {"Fn::Split": ["/", {"Fn::GetAtt": ["Later", "Uri"]}]}]}`, later},
		{`{"Fn::Join": ["", ["a", {"Ref": "Later"}]]}`, later},
		{`{"Fn::Base64": {"Ref": "Later"}}`, later},
		{`{"Condition": {"StringEquals": {"a": "b"}}}`, `{"Condition":{"StringEquals":{"a":"b"}}}`},
	} {
		got, err := r.value("Properties", parsedTree(t, c.expression))
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
		} else if jsonOf(t, got) != c.want {
			t.Errorf("%s is %s; want %s", c.expression, jsonOf(t, got), c.want)
		}
	}
}

func TestFunctionsSayWhatIsWrong(t *testing.T) {
	r := testResolver(t)
	for _, c := range []struct{ expression, want string }{
		{`{"a": [{"Ref": 1}]}`, "Properties/a/0: Ref takes the name of a parameter or resource, not a number"},
		{`{"Fn::GetAtt": "Made"}`, "Fn::GetAtt takes a resource's logical id and one of its attributes"},
		{`{"Fn::Sub": 1}`, "Fn::Sub takes a string, or a list"},
		{`{"Fn::Sub": "${Nobody}"}`, "no resource Nobody"},
		{`{"Fn::Join": ["", "x"]}`, "Fn::Join takes a delimiter and a list, not a string and a string"},
		{`{"Fn::Join": ["", [{"a": 1}]]}`, "Fn::Join can join strings only; an item is an object"},
		{`{"Fn::Select": [2, ["a", "b"]]}`, "Fn::Select cannot select index 2 of a list of 2"},
		{`{"Fn::Split": ["", "x"]}`, "Fn::Split takes a delimiter and a string"},
		{`{"Fn::FindInMap": ["Sizes", "large", "cpu"]}`, "Fn::FindInMap finds nothing at Mappings/Sizes/large/cpu"},
		{`{"Fn::If": ["Maybe", 1, 2]}`, "Conditions do not define Maybe"},
		{`{"Fn::GetAZs": ""}`, "the local engine does not implement the function Fn::GetAZs"},
		{`{"Fn::Transform": {}}`, "macros are not expanded"},
	} {
		_, err := r.value("Properties", parsedTree(t, c.expression))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.expression, err, c.want)
		}
	}
}

func TestConditionsThatDependOnThemselvesAreRefused(t *testing.T) {
	parsed, err := Parse(`{"Resources": {"A": {"Type": "T"}}, "Conditions": {
		"C": {"Fn::Not": [{"Condition": "D"}]}, "D": {"Fn::Not": [{"Condition": "C"}]}}}`)
	noError(t, err)
	r := &Resolver{Template: parsed}
	if err := r.EvaluateConditions(); err == nil || !strings.Contains(err.Error(), "condition C depends on itself") {
		t.Errorf("the error is %v", err)
	}
}

func TestRulesEvaluateParameters(t *testing.T) {
	parsed, err := Parse(`{
		"Parameters": {"BootstrapVersion": {"Type": "String"}},
		"Rules": {"CheckBootstrapVersion": {"Assertions": [{
			"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2", "3", "4", "5"], {"Ref": "BootstrapVersion"}]}]},
			"AssertDescription": "CDK bootstrap stack version 6 required."}]}},
		"Resources": {"A": {"Type": "T"}}}`)
	noError(t, err)
	for version, want := range map[string]string{"5": "version 6 required", "6": ""} {
		r := &Resolver{Template: parsed, Values: map[string]any{"BootstrapVersion": version}}
		err := r.CheckRules()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("version %s: %v", version, err)
		}
	}
}
