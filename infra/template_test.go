package infra_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

var update = flag.Bool("update", false, "write the synthesized templates to their files")

// compareFile compares got with a golden file, or writes it with -update.
func compareFile(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what the code synthesizes; look at the difference, then run go test ./infra -update\n-file +code:\n%s", name, diff)
	}
}

// Stacks that are not bootstrapped send their template inline, as the CDK's
// command does in CreateChangeSet. Each builder's project holds the buildspec,
// so a stack of two builders needs a bootstrapped environment, whose bucket
// takes a megabyte.
func TestStacksFitTheLimitsOfCloudFormationAndCodeBuild(t *testing.T) {
	const maxTemplate, maxBuildspec = 51200, 25600
	if size := len(buildspec.Source()); size > maxBuildspec {
		t.Errorf("the buildspec has %d characters, CodeBuild takes %d inline", size, maxBuildspec)
	}
	if file, err := os.Stat("template.json"); err != nil || file.Size() > maxTemplate {
		t.Errorf("template.json: %v bytes, error %v, CloudFormation takes %d inline", file.Size(), err, maxTemplate)
	}
	for _, name := range []string{"default props", "own-stack", "teams"} {
		dir := assembly(t, &awscdk.StackProps{Synthesizer: awscdk.NewLegacyStackSynthesizer()}, allKinds[name])
		file, err := os.Stat(filepath.Join(dir, "Stack.template.json"))
		if err != nil {
			t.Fatal(err)
		}
		if file.Size() > maxTemplate {
			t.Errorf("%s: the template has %d bytes, CloudFormation takes %d inline", name, file.Size(), maxTemplate)
		}
	}
}

func TestDefaultStackNeedsNoBootstrap(t *testing.T) {
	app := newApp(t)
	infra.NewStack(app, jsii.String(buildspec.StackName), &infra.StackProps{Builder: infra.DefaultProps()})
	dir := synth(app)
	tpl := readTemplate(t, dir, buildspec.StackName)
	for _, section := range []string{"Parameters", "Rules", "Conditions", "Mappings"} {
		if tpl[section] != nil {
			t.Errorf("the template has %s: %s", section, compact(tpl[section]))
		}
	}
	if found := tpl.resources("AWS::CDK::Metadata"); len(found) > 0 {
		t.Errorf("the template has %d CDK metadata resources", len(found))
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if role := regexp.MustCompile(`role/[\w-]+`).Find(manifest); role != nil {
		t.Errorf("the deployment uses %s, which bootstrapping makes", role)
	}
	if assets, _ := filepath.Glob(filepath.Join(dir, "*asset*")); len(assets) > 0 {
		t.Errorf("the assembly has assets: %q", assets)
	}
}

func TestDefaultStackTakesThePropsOfAnyStack(t *testing.T) {
	app := newApp(t)
	stack, builder := infra.NewStack(app, jsii.String("images"), &infra.StackProps{
		StackProps: awscdk.StackProps{
			Env:                   &awscdk.Environment{Account: jsii.String("123456789012"), Region: jsii.String("eu-west-1")},
			Description:           jsii.String("Images of the team"),
			TerminationProtection: jsii.Bool(true),
			Synthesizer:           awscdk.NewDefaultStackSynthesizer(nil),
		},
		Builder: &infra.ImageBuilderProps{ProjectName: jsii.String("team")},
	})
	if *stack.Region() != "eu-west-1" || !*stack.TerminationProtection() || *builder.ToString() != "images/Builder" {
		t.Errorf("the stack is in %s, protected: %v; its builder is %s", *stack.Region(), *stack.TerminationProtection(), *builder.ToString())
	}
	check(t, readTemplate(t, synth(app), "images"), []want{
		{"", "", "Description", `"Images of the team"`},
		{"", "", "Parameters.BootstrapVersion.Type", `"AWS::SSM::Parameter::Value\u003cString\u003e"`},
		{projectType, "", "Properties.Name", `"team"`},
	})
}

func TestStackNeedsNoProps(t *testing.T) {
	app := newApp(t)
	infra.NewStack(app, jsii.String("images"), nil)
	check(t, readTemplate(t, synth(app), "images"), []want{
		{"", "", "Description", `"flexbuild: image builds as a service on AWS CodeBuild"`},
		{"", "", "Parameters", `null`},
	})
}

// Every builder must be right in every partition.
func TestTemplatesNameNoPartition(t *testing.T) {
	literal := regexp.MustCompile(`arn:aws:|amazonaws\.com`)
	service := regexp.MustCompile(`"(ec2:Authorized|sts:AWS)?Service(Name)?":"[a-z-]+\.amazonaws\.com"`)
	for name, fill := range allKinds {
		t.Run(name, func(t *testing.T) {
			tpl := synthesizeStack(t, nil, fill)
			// The script itself chooses the suffix of the region it is given.
			for _, project := range tpl.resources(projectType) {
				project["Properties"].(map[string]any)["Source"] = nil
			}
			// The name of a service is the same everywhere, and a connection's ARN
			// is given whole.
			text := strings.ReplaceAll(service.ReplaceAllString(compact(tpl), ""), engineConnection, "")
			if found := literal.FindString(text); found != "" {
				t.Errorf("the template contains %q", found)
			}
		})
	}
}

// What cfn-lint would say, where it is not installed.
func TestTemplatesAreClean(t *testing.T) {
	for name, fill := range allKinds {
		t.Run(name, func(t *testing.T) {
			tpl := synthesizeStack(t, nil, fill)
			for id, resource := range tpl["Resources"].(map[string]any) {
				resource := resource.(map[string]any)
				if (resource["DeletionPolicy"] == nil) != (resource["UpdateReplacePolicy"] == nil) {
					t.Errorf("%s has one of DeletionPolicy and UpdateReplacePolicy", id)
				}
				if stateful[resource["Type"].(string)] && resource["DeletionPolicy"] == nil {
					t.Errorf("%s (%s) does not say what its deletion does", id, resource["Type"])
				}
			}
			outputs, _ := tpl["Outputs"].(map[string]any)
			for key, output := range outputs {
				output := output.(map[string]any)
				if output["Value"] == "" || output["Description"] == "" {
					t.Errorf("output %s is empty: %s", key, compact(output))
				}
			}
		})
	}
}

var stateful = map[string]bool{
	"AWS::S3::Bucket": true, "AWS::ECR::Repository": true, "AWS::Logs::LogGroup": true,
}
