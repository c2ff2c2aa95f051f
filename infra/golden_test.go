package infra_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// golden are the kinds whose whole template is kept in testdata, to be read in
// a review and checked by cfn-lint, with the environment of their stack. That
// of the defaults, with parameters, is template.json.
var golden = map[string]*awscdk.Environment{
	"administrators": nil,
	"everything":     nil,
	"rebuilds":       nil,
	"own-stack":      nil,
	"permissions":    nil,
	"teams":          nil,
	"two-builders":   nil,
	"vpc":            nil,
	"imported":       nil,
	"china":          {Account: jsii.String("123456789012"), Region: jsii.String("cn-north-1")},
}

func TestGoldenTemplates(t *testing.T) {
	for name, env := range golden {
		t.Run(name, func(t *testing.T) {
			// Without what bootstrapping adds, the local engine deploys them too.
			props := &awscdk.StackProps{Env: env, Synthesizer: awscdk.NewLegacyStackSynthesizer()}
			tpl := synthesizeStack(t, props, allKinds[name])
			for _, project := range tpl.resources(projectType) {
				source := project.at("Properties.Source").(map[string]any)
				source["BuildSpec"] = "version: 0.2 # template.json has the whole script"
			}
			compareFile(t, filepath.Join("testdata", name+".json"), indented(t, tpl))
		})
	}
}

func indented(t *testing.T, tpl template) []byte { return encoded(t, tpl, " ") }

// encoded returns a value in JSON, with <, > and & as they are.
func encoded(t *testing.T, value any, indent string) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}
