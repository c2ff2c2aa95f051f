package cloudformation

import (
	"os"
	"testing"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// Any text is either a template or an error, never a panic, and what is
// accepted can be put in order.
func FuzzParseTemplate(f *testing.F) {
	f.Add(pair)
	f.Add(roleTemplate)
	f.Add("Resources: {A: {Type: !Sub T, Properties: !GetAtt [A, [b]]}}")
	f.Add(`{"Resources": {"A": {"Type": "T", "Properties": {"x": {"Ref": 1}, "y": {"Fn::Sub": ["${a}", {}]}}}}}`)
	if body, err := os.ReadFile("../../../infra/template.json"); err == nil {
		f.Add(string(body))
	}
	things := newThings()
	f.Fuzz(func(t *testing.T, body string) {
		parsed, err := template.Parse(body)
		if err != nil {
			return
		}
		if _, err := template.Order(parsed.Dependencies()); err != nil {
			t.Errorf("a template with a cycle was accepted: %v", err)
		}
		p := planner{template: parsed, providers: map[string]resources.Provider{"T": things}, imported: map[string]bool{}}
		p.resolver = &template.Resolver{Template: parsed, Values: map[string]any{}}
		_, _ = p.plan()
	})
}
