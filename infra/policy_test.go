package infra_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statements returns those of every policy document in the template, wherever
// it is.
func statements(t *testing.T, tpl template) []template {
	t.Helper()
	var all []template
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if value["Statement"] != nil {
				all = append(all, documentStatements(value)...)
			}
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(tpl["Resources"])
	if len(all) == 0 {
		t.Fatal("the template has no policy statement at all")
	}
	return all
}

func documentStatements(document any) []template {
	var all []template
	parsed, _ := document.(map[string]any)
	for _, statement := range list(parsed["Statement"]) {
		all = append(all, statement.(map[string]any))
	}
	return all
}

// list returns value if it is a list, else the list of it alone.
func list(value any) []any {
	if values, ok := value.([]any); ok {
		return values
	}
	return []any{value}
}

// texts returns the strings of an element of a statement: one, a list, or a map
// of principals.
func texts(value any) []string {
	var all []string
	for _, one := range list(value) {
		principals, isMap := one.(map[string]any)
		if isMap && !isFunction(principals) {
			for _, inner := range principals {
				all = append(all, texts(inner)...)
			}
			continue
		}
		all = append(all, text(one))
	}
	return all
}

func isFunction(value map[string]any) bool {
	for key := range value {
		return len(value) == 1 && (key == "Ref" || strings.HasPrefix(key, "Fn::"))
	}
	return false
}

// A logical id is that of the builder, the path in it, and a hash.
var logicalID = regexp.MustCompile(`^(?:Builder|One|Two)?(.+?)(?:[0-9A-F]{8})?$`)

// text writes a value the way Fn::Sub would: ${AWS::Region}, ${Thing.Arn}.
func text(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case map[string]any:
		if ref, ok := value["Ref"].(string); ok {
			return "${" + logicalID.ReplaceAllString(ref, "$1") + "}"
		}
		if at, ok := value["Fn::GetAtt"].([]any); ok {
			return "${" + logicalID.ReplaceAllString(at[0].(string), "$1") + "." + at[1].(string) + "}"
		}
		if join, ok := value["Fn::Join"].([]any); ok {
			var parts []string
			for _, part := range join[1].([]any) {
				parts = append(parts, text(part))
			}
			return strings.Join(parts, join[0].(string))
		}
	}
	return compact(value)
}

func TestTextWritesFunctionsLikeSub(t *testing.T) {
	for given, want := range map[string]string{
		`"plain"`:                             "plain",
		`{"Ref": "AWS::Region"}`:              "${AWS::Region}",
		`{"Ref": "BuilderRole50DE68B6"}`:      "${Role}",
		`{"Fn::GetAtt": ["Topic", "Arn"]}`:    "${Topic.Arn}",
		`{"Fn::Join": [":", ["a", "b"]]}`:     "a:b",
		`{"Fn::Select": [0, ["a"]]}`:          `{"Fn::Select":[0,["a"]]}`,
		`["a", {"Ref": "B"}]`:                 `["a",{"Ref":"B"}]`,
		`{"AWS": ["arn:1", {"Ref": "Arn2"}]}`: `{"AWS":["arn:1",{"Ref":"Arn2"}]}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(given), &value); err != nil {
			t.Fatal(err)
		}
		if got := text(value); got != want {
			t.Errorf("text(%s) is %q, want %q", given, got, want)
		}
	}
	principals := texts(map[string]any{"AWS": []any{"one", "two"}})
	if !slices.Equal(principals, []string{"one", "two"}) {
		t.Errorf("texts of principals are %q", principals)
	}
}
