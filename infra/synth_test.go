package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// All tests share the one node process that importing the CDK starts.
func TestMain(m *testing.M) {
	os.Unsetenv("CDK_VALIDATION") // which would turn the check of newApp off
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// template is a synthesized template as JSON has it.
type template map[string]any

// synthesize returns the template of a stack with one builder of those props.
func synthesize(t *testing.T, props *infra.ImageBuilderProps) template {
	t.Helper()
	return synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), props)
	})
}

// synthesizeStack returns the template of a stack that fill has filled.
func synthesizeStack(t *testing.T, props *awscdk.StackProps, fill func(awscdk.Stack)) template {
	t.Helper()
	return readTemplate(t, assembly(t, props, fill), "Stack")
}

// Durations as props have them.
func minutes(n float64) awscdk.Duration { return awscdk.Duration_Minutes(&n) }
func days(n float64) awscdk.Duration    { return awscdk.Duration_Days(&n) }

// assembly returns the directory of the cloud assembly of a stack, called
// Stack, that fill has filled.
func assembly(t *testing.T, props *awscdk.StackProps, fill func(awscdk.Stack)) string {
	t.Helper()
	app := newApp(t)
	fill(awscdk.NewStack(app, jsii.String("Stack"), props))
	return synth(app)
}

// newApp returns an app with the settings of cdk.json, and with the CDK's own
// check of templates on: a template that it finds fault with fails the test.
func newApp(t *testing.T) awscdk.App {
	return awscdk.NewApp(&awscdk.AppProps{
		Outdir:             jsii.String(t.TempDir()),
		AnalyticsReporting: jsii.Bool(false),
		TreeMetadata:       jsii.Bool(false),
		StackTraces:        jsii.Bool(false),
		Context:            &map[string]any{"@aws-cdk/core:validateAgainstDefaultRules": true},
	})
}

// synth returns the directory of the cloud assembly.
func synth(app awscdk.App) string { return *app.Synth(nil).Directory() }

func readTemplate(t *testing.T, dir, stack string) template {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed template
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// resources returns the resources of a type, by logical id.
func (tpl template) resources(kind string) map[string]template {
	found := map[string]template{}
	for id, resource := range tpl["Resources"].(map[string]any) {
		if resource := resource.(map[string]any); resource["Type"] == kind {
			found[id] = resource
		}
	}
	return found
}

// the returns the only resource of a type whose logical id contains part.
func (tpl template) the(t *testing.T, kind, part string) template {
	t.Helper()
	var found []template
	for id, resource := range tpl.resources(kind) {
		if strings.Contains(id, part) {
			found = append(found, resource)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s have %q in their id, want 1", len(found), kind, part)
	}
	return found[0]
}

func (tpl template) project(t *testing.T) template { return tpl.the(t, "AWS::CodeBuild::Project", "") }

// at follows a path of keys and indices joined by dots; nil if it ends early.
func (tpl template) at(path string) any {
	var value any = map[string]any(tpl)
	for step := range strings.SplitSeq(path, ".") {
		switch container := value.(type) {
		case map[string]any:
			value = container[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(container) {
				return nil
			}
			value = container[i]
		default:
			return nil
		}
	}
	return value
}

// compact returns a value of a template in JSON on one line.
func compact(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
