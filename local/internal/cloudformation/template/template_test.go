package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestYAMLMeansTheSameAsJSON(t *testing.T) {
	for _, c := range []struct{ yaml, json string }{
		{"a: !Ref X", `{"a": {"Ref": "X"}}`},
		{"a: !GetAtt X.Y.Z", `{"a": {"Fn::GetAtt": ["X", "Y.Z"]}}`},
		{"a: !GetAtt [X, Y]", `{"a": {"Fn::GetAtt": ["X", "Y"]}}`},
		{"a: !Sub '${X}-y'", `{"a": {"Fn::Sub": "${X}-y"}}`},
		{"a: !Sub ['${x}', {x: !Ref Y}]", `{"a": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]}}`},
		{"a: !If [C, !Ref X, !Ref 'AWS::NoValue']", `{"a": {"Fn::If": ["C", {"Ref": "X"}, {"Ref": "AWS::NoValue"}]}}`},
		{"a: !And [!Condition C, !Not [!Condition D]]", `{"a": {"Fn::And": [{"Condition": "C"}, {"Fn::Not": [{"Condition": "D"}]}]}}`},
		{"a: !Join ['', [x, !Ref Y]]", `{"a": {"Fn::Join": ["", ["x", {"Ref": "Y"}]]}}`},
		{"Fn::Base64:\n  !Sub x", `{"Fn::Base64": {"Fn::Sub": "x"}}`},
		{"Version: 2012-10-17", `{"Version": "2012-10-17"}`},
		{"a: 000000000000", `{"a": "000000000000"}`},
		{"a: [1, 2.50, true, null, '3', no]", `{"a": [1, 2.50, true, null, "3", "no"]}`},
	} {
		if diff := cmp.Diff(jsonOf(t, parsedTree(t, c.json)), jsonOf(t, parsedTree(t, c.yaml))); diff != "" {
			t.Errorf("%s: %s", c.yaml, diff)
		}
	}
}

func TestTemplatesAreRefusedWithTheReason(t *testing.T) {
	thing := `"A": {"Type": "Test::Thing"}`
	for _, c := range []struct{ body, want string }{
		{"", "the template is empty"},
		{"[]", "the template is a list where an object with Resources is needed"},
		{"{}", "At least one Resources member must be defined."},
		{"a: 1\n---\nb: 2", "more than one YAML document"},
		{"Resources: &x {}", "YAML aliases are not allowed"},
		{"Resources:\n  A: {Type: T}\n  A: {Type: T}", `line 3: key "A" stands twice`},
		{`{"Resources": {"A-b": {"Type": "T"}}}`, "Resource name A-b is non alphanumeric."},
		{`{"Resources": {"A": {}}}`, "[/Resources/A] Every Resources object must contain a Type member."},
		{`{"Resources": {"A": "T"}}`, "Resources/A is a string where an object is needed"},
		{`{"Resources": {"A": {"Type": "T", "Propertys": {}}}}`, "invalid template property Propertys in Resources/A"},
		{`{"Resources": {"A": {"type": "T"}}}`, "invalid template property type in Resources/A"},
		{`{"Resources": {"A": {"Type": "T", "CreationPolicy": {}}}}`, "Resources/A has CreationPolicy: the local engine sends no signals"},
		{`{"Resources": {"A": {"Type": "T", "DeletionPolicy": "Snapshot"}}}`, `Resources/A has DeletionPolicy "Snapshot"`},
		{`{"Resources": {"A": {"Type": "T", "Condition": "C"}}}`, "Resources/A has Condition C, which the template's Conditions do not define"},
		{`{"Resources": {"A": {"Type": "T", "DependsOn": "B"}}}`, "Unresolved resource dependencies [B] in the Resources block of the template (Resources/A)"},
		{`{"Resources": {` + thing + `}, "Outputs": {"O": {"Value": {"Fn::GetAtt": "B.Arn"}}}}`, "Unresolved resource dependencies [B] in the Outputs block"},
		{`{"Resources": {` + thing + `}, "Outputs": {"O": {}}}`, "Outputs/O has no Value"},
		{`{"Resources": {` + thing + `}, "Transform": "AWS::Serverless-2016-10-31"}`, "the template has Transform: macros are not expanded"},
		{`{"Resources": {` + thing + `}, "Conditions": {"C": {"Fn::Equals": [{"Ref": "A"}, "x"]}}}`, "conditions cannot depend on resources"},
		{`{"Resources": {` + thing + `}, "Parameters": {"A": {"Type": "String"}}}`, "A is the name of a parameter and of a resource"},
		{`{"Resources": {` + thing + `}, "Parameters": {"P": {"Type": "AWS::EC2::VPC::Id"}}}`, `Parameters/P has Type "AWS::EC2::VPC::Id"`},
		{`{"Resources": {` + thing + `}, "AWSTemplateFormatVersion": "2011-01-01"}`, "write 2010-09-09"},
		{`{"Resources": {
			"A": {"Type": "T", "Properties": {"x": {"Ref": "B"}}},
			"B": {"Type": "T", "DependsOn": ["C"]},
			"C": {"Type": "T", "Properties": {"x": {"Fn::Sub": "${A.Arn}"}}},
			"D": {"Type": "T", "DependsOn": "A"}}}`, "Circular dependency between resources: [A, B, C]"},
	} {
		_, err := Parse(c.body)
		wantMistake(t, err, c.want)
	}
}

func TestResourcesAreOrderedByWhatTheyNeed(t *testing.T) {
	parsed, err := Parse(`{"Resources": {
		"A": {"Type": "T", "Properties": {"x": {"Fn::Join": ["", ["-", {"Fn::GetAtt": ["Z", "Arn"]}]]}}},
		"B": {"Type": "T"},
		"M": {"Type": "T", "Properties": {"x": {"Fn::Sub": ["${Z.Arn} ${own} ${!B}", {"own": {"Ref": "B"}}]}}},
		"Z": {"Type": "T", "DependsOn": ["B"]}}}`)
	noError(t, err)
	ids, err := Order(parsed.Dependencies())
	noError(t, err)
	if got := strings.Join(ids, " "); got != "B Z A M" {
		t.Errorf("the order is %s", got)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantMistake(t *testing.T, err error, text string) {
	t.Helper()
	if mistake, ok := errors.AsType[Error](err); !ok || !strings.Contains(string(mistake), text) {
		t.Fatalf("error is %v; want a mistake with %q", err, text)
	}
}

// parsedTree reads JSON as templates are read.
func parsedTree(t *testing.T, text string) any {
	t.Helper()
	value, err := parseBody(text)
	noError(t, err)
	return value
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	noError(t, err)
	return string(data)
}
