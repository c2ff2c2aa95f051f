package template

import (
	"fmt"
	"strings"
	"testing"
)

func TestConditionsAreEvaluated(t *testing.T) {
	for _, c := range []struct{ expression, want string }{
		{`{"Fn::Equals": [{"Ref": "Name"}, "app"]}`, "true"},
		{`{"Fn::Equals": ["2", 2]}`, "true"},
		{`{"Fn::Equals": [true, "true"]}`, "true"},
		{`{"Fn::Equals": [["a", "b"], {"Ref": "Zones"}]}`, "true"},
		{`{"Fn::Equals": [["a"], {"Ref": "Zones"}]}`, "false"},
		{`{"Fn::Equals": [{"Fn::If": ["Yes", {"a": 1}, 2]}, {"a": 1}]}`, "true"},
		{`{"Fn::Equals": ["a"]}`, "Conditions/C: Fn::Equals takes a list of two values"},
		{`{"Fn::Equals": ["a", "b", "c"]}`, "Fn::Equals takes a list of two values"},
		{`{"Fn::Equals": ["a", {"Fn::Join": 1}]}`, "Conditions/C: Fn::Equals/1: Fn::Join takes a list of a delimiter and a list"},
		{`{"Fn::Not": [{"Fn::Equals": ["a", "b"]}]}`, "true"},
		{`{"Fn::Not": ["maybe"]}`, "Fn::Not is a string where true or false is needed"},
		{`{"Fn::Not": []}`, "Fn::Not takes a list of one condition"},
		{`{"Fn::And": ["true", {"Condition": "Yes"}]}`, "true"},
		{`{"Fn::And": ["true", "false"]}`, "false"},
		{`{"Fn::And": ["false", "maybe"]}`, "false"},
		{`{"Fn::And": ["true", "maybe"]}`, "Fn::And/1 is a string where true or false is needed"},
		{`{"Fn::And": ["true"]}`, "Fn::And takes a list of 2 to 10 conditions"},
		{`{"Fn::And": [1,1,1,1,1,1,1,1,1,1]}`, "true"},
		{`{"Fn::And": [1,1,1,1,1,1,1,1,1,1,1]}`, "Fn::And takes a list of 2 to 10 conditions"},
		{`{"Fn::Or": ["false", "true"]}`, "true"},
		{`{"Fn::Or": ["true", "maybe"]}`, "true"},
		{`{"Fn::Or": ["false", "false"]}`, "false"},
		{`{"Fn::If": ["Yes", "true", "false"]}`, "true"},
		{`{"Fn::If": ["Yes", "true"]}`, "Fn::If takes a list of a condition's name and two values"},
		{`{"Fn::If": [1, "true", "false"]}`, "Fn::If takes a condition's name first, not a number"},
		{`{"Condition": "Yes"}`, "true"},
		{`{"Condition": "Nobody"}`, "the template's Conditions do not define Nobody"},
		{`{"Fn::Contains": [{"Ref": "Zones"}, "b"]}`, "true"},
		{`{"Fn::Contains": [{"Ref": "Zones"}, "c"]}`, "false"},
		{`{"Fn::Contains": ["b", "b"]}`, "Fn::Contains takes a list first, not a string"},
		{`{"Fn::Contains": ["b"]}`, "Fn::Contains takes a list of a list and a value"},
		{`{"Fn::EachMemberEquals": [["a", "a"], "a"]}`, "true"},
		{`{"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]}`, "false"},
		{`{"Fn::EachMemberEquals": [["a"]]}`, "Fn::EachMemberEquals takes a list of a list and a value"},
		{`{"Fn::EachMemberIn": [{"Ref": "Zones"}, ["b", "a", "c"]]}`, "true"},
		{`{"Fn::EachMemberIn": [{"Ref": "Zones"}, ["b", "c"]]}`, "false"},
		{`{"Fn::EachMemberIn": [["a"]]}`, "Fn::EachMemberIn takes a list of two lists"},
	} {
		parsed, err := Parse(`{"Resources": {"A": {"Type": "T"}}, "Parameters": {"Name": {"Type": "String"}, "Zones": {"Type": "CommaDelimitedList"}},
			"Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}, "C": ` + c.expression + `}}`)
		noError(t, err)
		r := &Resolver{Template: parsed, Values: map[string]any{"Name": "app", "Zones": []any{"a", "b"}}}
		got := ""
		if err := r.EvaluateConditions(); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(r.Holds("C"))
		}
		if got != c.want && (len(c.want) < 6 || !strings.Contains(got, c.want)) {
			t.Errorf("%s is %s; want %s", c.expression, got, c.want)
		}
	}
}

func TestRulesApplyUnderTheirCondition(t *testing.T) {
	for text, want := range map[string]string{
		`{"RuleCondition": "false", "Assertions": [{"Assert": "false"}]}`:                             "",
		`{"RuleCondition": "true", "Assertions": [{"Assert": "true"}, {"Assert": "false"}]}`:          "Template constraint violated by rule R: ",
		`{"RuleCondition": "maybe", "Assertions": []}`:                                                "Rules/R/RuleCondition is a string where true or false is needed",
		`{"Assertions": [{"Assert": "true"}, {"Assert": "maybe"}]}`:                                   "Rules/R/Assertions/1 is a string where true or false is needed",
		`{"Assertions": [{"Assert": {"Fn::Equals": [1, 2]}, "AssertDescription": "one is not two"}]}`: "rule R: one is not two",
	} {
		parsed, err := Parse(`{"Resources": {"A": {"Type": "T"}}, "Rules": {"R": ` + text + `}}`)
		noError(t, err)
		err = (&Resolver{Template: parsed}).CheckRules()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestFunctionsOfUnknownAndOddValues(t *testing.T) {
	r := testResolver(t)
	const later, odd = `"` + KnownAfterApply + `"`, "\x00"
	for _, c := range []struct{ expression, want string }{
		{`{"Fn::Select": ["-1", ["a"]]}`, odd + "cannot select index -1 of a list of 1"},
		{`{"Fn::Select": ["x", ["a"]]}`, odd + "Fn::Select takes an index and a list, not a string and a list"},
		{`{"Fn::Select": [0, "a"]}`, odd + "Fn::Select takes an index and a list, not a number and a string"},
		{`{"Fn::Select": [0]}`, odd + "Fn::Select takes a list of an index and a list"},
		{`{"Fn::Select": [0, [{"Ref": "Made"}, {"Fn::Join": 1}]]}`, odd + "Fn::Select/1/1: Fn::Join takes a list"},
		{`{"Fn::Split": ["/", {"Ref": "Later"}]}`, later},
		{`{"Fn::Split": [1, "a"]}`, odd + "Fn::Split takes a delimiter and a string, not a number and a string"},
		{`{"Fn::Split": ["/", 1]}`, odd + "Fn::Split takes a delimiter and a string, not a string and a number"},
		{`{"Fn::Split": ["/", "a/b"]}`, `["a","b"]`},
		{`{"Fn::Join": [1, ["a"]]}`, odd + "Fn::Join takes a delimiter and a list, not a number and a list"},
		{`{"Fn::Join": ["", ["a", {"Ref": "AWS::NoValue"}, "b"]]}`, `"ab"`},
		{`{"Fn::Join": ["", [null]]}`, odd + "an item is null"},
		{`{"Fn::Sub": ["${x}", {"x": {"Ref": "AWS::NoValue"}}]}`, odd + "Fn::Sub can join strings only"},
		{`{"Fn::Sub": ["${x}", {"x": {"Fn::Join": 1}}]}`, odd + "Fn::Sub/x: Fn::Join takes a list"},
		{`{"Fn::Sub": ["a"]}`, odd + "Fn::Sub takes a string, or a list of a string and an object of variables"},
		{`{"Fn::Sub": [{}, {}]}`, odd + "Fn::Sub takes a string, or a list of a string and an object of variables"},
		{`{"Fn::Sub": "a ${ Name } b"}`, `"a app b"`},
		{`{"Fn::Base64": 1}`, odd + "Fn::Base64 takes a string, not a number"},
		{`{"Fn::Base64": {"Fn::Join": 1}}`, odd + "Fn::Base64: Fn::Join takes a list"},
		{`{"Fn::FindInMap": [{"Ref": "Later"}, "a", "b"]}`, later},
		{`{"Fn::FindInMap": ["Sizes", "small"]}`, odd + "Fn::FindInMap takes a list of the names of a mapping and two keys"},
		{`{"Fn::FindInMap": ["Sizes", "small", "names"]}`, `["s"]`},
		{`{"Fn::ImportValue": {"Fn::Join": 1}}`, odd + "Fn::ImportValue: Fn::Join takes a list"},
		{`{"Fn::GetAtt": ["Made", {"Ref": "Name"}]}`, `"made-id/app"`},
		{`{"Fn::GetAtt": ["Made", ""]}`, odd + "Fn::GetAtt takes a resource's logical id and one of its attributes"},
		{`{"Fn::GetAtt": ["", "Arn"]}`, odd + "Fn::GetAtt takes a resource's logical id and one of its attributes"},
		{`{"Fn::GetAtt": ["Made", 1]}`, odd + "Fn::GetAtt takes a resource's logical id and one of its attributes"},
		{`{"Fn::GetAtt": ["Made", {"Fn::Join": 1}]}`, odd + "Fn::GetAtt/1: Fn::Join takes a list"},
		{`{"Fn::GetAtt": ["Name", "Arn"]}`, odd + "no resource Name"},
		{`[{"Ref": "AWS::NoValue"}, 1.50, true, null]`, `[1.50,true,null]`},
		{`{"Ref": "a", "b": 1}`, `{"Ref":"a","b":1}`},
	} {
		got, err := r.value("Properties", parsedTree(t, c.expression))
		text, isError := strings.CutPrefix(c.want, odd)
		switch {
		case isError && (err == nil || !strings.Contains(err.Error(), text)):
			t.Errorf("%s: %v; want the error %q", c.expression, err, text)
		case !isError && err != nil:
			t.Errorf("%s: %v", c.expression, err)
		case !isError && jsonOf(t, got) != text:
			t.Errorf("%s is %s; want %s", c.expression, jsonOf(t, got), text)
		}
	}
	alone := &Resolver{Template: r.Template}
	for expression, want := range map[string]string{
		`{"Ref": "Made"}`:           "Made is not a parameter; resources cannot be referred to here",
		`{"Fn::ImportValue": "x"}`:  "Fn::ImportValue cannot be used here",
		`{"Fn::Nothing": {"a": 1}}`: "Properties: the local engine does not implement the function Fn::Nothing",
	} {
		if _, err := alone.value("Properties", parsedTree(t, expression)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
}

func TestOutputsAreText(t *testing.T) {
	r := testResolver(t)
	for _, c := range []struct{ output, value, export, mistake string }{
		{`{"Value": 1.50}`, "1.50", "", ""},
		{`{"Value": {"Ref": "Later"}, "Export": {"Name": {"Ref": "Name"}}}`, KnownAfterApply, "app", ""},
		{`{"Value": {"Ref": "Zones"}}`, "", "", "Outputs/O/Value must be a string; it is a list"},
		{`{"Value": {"a": 1}}`, "", "", "Outputs/O/Value must be a string; it is an object"},
		{`{"Value": {"Ref": "AWS::NoValue"}}`, "", "", "Outputs/O/Value must be a string"},
		{`{"Value": {"Fn::Join": 1}}`, "", "", "Outputs/O/Value: Fn::Join takes a list"},
		{`{"Value": "a", "Export": {"Name": {"Ref": "Zones"}}}`, "", "", "Outputs/O/Export/Name must be a string; it is a list"},
	} {
		parsed, err := Parse(`{"Resources": {"Later": {"Type": "T"}}, "Parameters": {"Name": {"Type": "String"}, "Zones": {"Type": "CommaDelimitedList"}}, "Outputs": {"O": ` + c.output + `}}`)
		noError(t, err)
		value, export, err := r.Output("O", parsed.Outputs["O"])
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) {
				t.Errorf("%s: %v, want %q", c.output, err, c.mistake)
			}
		} else if err != nil || value != c.value || export != c.export {
			t.Errorf("%s: %q, %q, %v", c.output, value, export, err)
		}
	}
}

func TestMoreTemplatesAreRefusedWithTheReason(t *testing.T) {
	with := func(section string) string { return `{"Resources": {"A": {"Type": "T"}}, ` + section + `}` }
	for _, c := range []struct{ body, want string }{
		{"a: *b", "unknown anchor"},
		{"a: b: c", "mapping values are not allowed"},
		{"? [a]\n: b", "line 1: the key of a mapping must be a string"},
		{"!Ref a: b", "line 1: the key of a mapping must be a string"},
		{"a: [&x 1]", "line 1: YAML aliases are not allowed"},
		{`{"Resources": {"A": {"Type": "T"}}} {}`, "Template format error"},
		{with(`"Parameters": []`), "Parameters is a list where an object is needed"},
		{with(`"Rules": []`), "Rules is a list where an object is needed"},
		{with(`"Outputs": []`), "Outputs is a list where an object is needed"},
		{with(`"Outputs": {"a-b": {"Value": 1}}`), "Output name a-b is non alphanumeric."},
		{with(`"Outputs": {"O": {"Value": 1, "Condition": "C"}}`), "Outputs/O has Condition C, which the template's Conditions do not define"},
		{with(`"Outputs": {"O": {"Value": 1, "Exports": {}}}`), "invalid template property Exports in Outputs/O"},
		{with(`"Outputs": {"O": {"Value": 1, "Export": {"Name": {"Ref": "B"}}}}`), "[B] in the Outputs block of the template (Outputs/O)"},
		{with(`"Outputs": {"O": {"Value": {"Fn::GetAtt": ["B", {"Ref": "C"}]}}}`), "[B, C] in the Outputs block"},
		{with(`"Outputs": {"O": {"Value": {"Fn::GetAtt": ["AWS::Region", "x"]}}}`), "[AWS::Region] in the Outputs block"},
		{with(`"Outputs": {"O": {"Value": {"Fn::Sub": ["${B} ${x} ${!C}", {"x": {"Ref": "D"}}]}}}`), "[B, D] in the Outputs block"},
		{with(`"Parameters": {"P": {"Type": "String", "AllowedPattern": "["}}`), "Parameters/P has an AllowedPattern that is not a regular expression"},
		{with(`"Parameters": {"P": {"Type": 1}}`), "Parameters/P: "},
		{with(`"Hooks": {}`), "the template has Hooks: the local engine has no hooks"},
		{with(`"Mappings": []`), "the template: "},
		{`{"Resources": {"A": {"Type": "T", "UpdateReplacePolicy": "RetainExceptOnCreate"}}}`, `Resources/A has UpdateReplacePolicy "RetainExceptOnCreate"`},
		{`{"Resources": {"A": {"Type": "T", "UpdatePolicy": {}}}}`, "none of the local engine's resource types has an update policy"},
		{`{"Resources": {"` + strings.Repeat("A", 256) + `": {"Type": "T"}}}`, "is non alphanumeric"},
		{`{"Resources": {"A": {"Type": "T", "DependsOn": ["B", "C"]}}}`, "[B, C] in the Resources block"},
		{`{"Resources": {"A": {"Type": "T", "DependsOn": "A"}}}`, "Circular dependency between resources: [A]"},
	} {
		_, err := Parse(c.body)
		wantMistake(t, err, c.want)
	}
	for _, good := range []string{
		with(`"AWSTemplateFormatVersion": "2010-09-09"`),
		with(`"Parameters": {"P": {"Type": "List<Number>"}, "Q": {"Type": "AWS::SSM::Parameter::Value<List<String>>"}}, "Conditions": {"C": {"Fn::Equals": [{"Ref": "AWS::Region"}, {"Ref": "P"}]}}`),
		with(`"Outputs": {"O": {"Value": {"Fn::Sub": "${A} ${A.Arn} ${AWS::StackId} ${!B}"}}}`),
		"Resources: {A: {Type: T, DeletionPolicy: Delete, UpdateReplacePolicy: Delete}, " + strings.Repeat("B", 255) + ": {Type: T, DependsOn: [A]}}",
		"Resources: {A: {Type: !!str T, Metadata: {a: TRUE, b: 0x10, c: ~}}}",
	} {
		if _, err := Parse(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestParametersTakeTheirValues(t *testing.T) {
	declared := map[string]Parameter{
		"D": {Type: typeString, Default: true},
		"N": {Type: typeNumber, MinValue: 1, MaxValue: 3, Default: 2.5},
		"L": {Type: typeNumberList, Default: "1, 2,3", MinValue: 1},
		"S": {Type: typeString, MinLength: 2, MaxLength: 2, Default: "äö"},
		"P": {Type: typeSSMList, Default: "/p"},
	}
	for _, ok := range [][]string{{"N", "1"}, {"N", "3"}, {"S", "éé"}, {"L", ""}} {
		if _, err := ChooseParameters(declared, given(ok...), nil); ok[1] != "" && err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	values, err := ChooseParameters(declared, nil, nil)
	noError(t, err)
	for name, want := range map[string]string{"D": "true", "N": "2.5", "L": "1, 2,3", "S": "äö"} {
		if got := values[name].Text(declared[name]); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	noError(t, LookUp(t.Context(), onlyParameter{"/p", "a,b"}, declared, values))
	if got := values["P"].Text(declared["P"]); got != "a,b" || !declared["P"].List() || !declared["L"].List() || declared["S"].List() {
		t.Errorf("P is %q", got)
	}
	if err := LookUp(t.Context(), onlyParameter{"/q", "a"}, declared, values); err == nil || !strings.Contains(err.Error(), "holds no such parameter.") {
		t.Errorf("a parameter that is not there: %v", err)
	}
	if got := SplitList(" a ,b"); len(got) != 2 || got[0] != "a" || SplitList("") != nil {
		t.Errorf("split: %q", got)
	}
	previous := given("D", "x")
	yes := true
	previous[0].ParameterValue, previous[0].UsePreviousValue = nil, &yes
	if _, err := ChooseParameters(declared, previous, nil); err == nil || !strings.Contains(err.Error(), "[D] must have values") {
		t.Errorf("the previous value of a new stack: %v", err)
	}
	values, err = ChooseParameters(declared, previous, map[string]ParameterValue{"D": {Given: "old"}})
	if err != nil || values["D"].Given != "old" {
		t.Errorf("the previous value: %v, %v", values["D"], err)
	}
}
