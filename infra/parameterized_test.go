package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

func TestTemplateFileIsWhatTheCodeSynthesizes(t *testing.T) {
	compareFile(t, "template.json", written(t, parameterized(t)))
}

// parameterized returns the default stack's template with parameters.
func parameterized(t *testing.T) template {
	t.Helper()
	conditions := cfn{}
	for name, condition := range conditionsOfParameters {
		conditions[name] = condition
	}
	merged := mergeVariants(t, choices, variant{}, map[string]template{}, conditions)
	tpl := template(parameterize(cfn(merged)).(cfn))
	tpl["Parameters"], tpl["Rules"], tpl["Conditions"] = plain(t, declarations), plain(t, rules), plain(t, conditions)
	tpl["Metadata"] = plain(t, cfn{"AWS::CloudFormation::Interface": cfn{"ParameterGroups": parameterGroups}})
	return tpl
}

// mergeVariants merges the templates of all combinations of the choices that
// are left, given those that are made.
func mergeVariants(t *testing.T, left []string, made variant, known map[string]template, added cfn) template {
	if len(left) == 0 {
		return synthesizeVariant(t, made, known)
	}
	with := variant{left[0]: true}
	for name := range made {
		with[name] = true
	}
	on, off := mergeVariants(t, left[1:], with, known, added), mergeVariants(t, left[1:], made, known, added)
	return mergeTemplates(left[0], on, off, added)
}

func synthesizeVariant(t *testing.T, made variant, known map[string]template) template {
	if !made["HasVpc"] {
		made["HasSecurityGroups"] = false // it is ignored
	}
	key := compact(made)
	if known[key] == nil {
		known[key] = defaultStack(t, made.sampled)
	}
	return known[key]
}

// defaultStack returns the template of the default stack with other props. Its
// repository has the logical id that it has there, whatever its name is.
func defaultStack(t *testing.T, props func(awscdk.Stack) *infra.ImageBuilderProps) template {
	t.Helper()
	app := newApp(t)
	elsewhere := awscdk.NewStack(app, jsii.String("Elsewhere"), nil) // what props refer to
	awscdk.NewCfnWaitConditionHandle(elsewhere, jsii.String("Handle"), nil)
	infra.NewStack(app, jsii.String(buildspec.StackName), &infra.StackProps{Builder: props(elsewhere)})
	dir := synth(app)
	text, err := os.ReadFile(filepath.Join(dir, buildspec.StackName+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	for id := range readTemplate(t, dir, buildspec.StackName).resources("AWS::ECR::Repository") {
		if id != cacheRepositoryID {
			text = bytes.ReplaceAll(text, []byte(`"`+id+`"`), []byte(`"`+repositoryID+`"`))
		}
	}
	var parsed template
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// These are the logical ids of the default stack's repositories. They must not
// change, because CloudFormation would replace the repositories of deployed
// stacks.
const (
	repositoryID      = "BuilderRepositoryappF56C8DC7"
	cacheRepositoryID = "BuilderCacheRepositoryEB7FF9AE"
)

// plain returns a value as JSON has it.
func plain(t *testing.T, value any) any {
	t.Helper()
	var parsed any
	if err := json.Unmarshal([]byte(compact(value)), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// written returns the text of a template. What fits on a line is on one:
// indented like the golden files, the template would be too large for
// CloudFormation.
func written(t *testing.T, tpl template) []byte {
	t.Helper()
	var text bytes.Buffer
	for i, section := range []string{"Description", "Metadata", "Parameters", "Rules", "Conditions", "Resources", "Outputs"} {
		if i > 0 {
			text.WriteString(",\n")
		}
		fmt.Fprintf(&text, " %q: ", section)
		writeValue(t, &text, tpl[section], " ")
	}
	return []byte("{\n" + text.String() + "\n}\n")
}

func writeValue(t *testing.T, into *bytes.Buffer, value any, indent string) {
	const width = 180
	line := bytes.TrimSpace(encoded(t, value, ""))
	object, isObject := value.(cfn)
	list, isList := value.([]any)
	if len(indent)+len(line) <= width || !isObject && !isList {
		into.Write(line)
		return
	}
	inner, open, end := "\n"+indent+" ", "{", "}"
	if isList {
		open, end = "[", "]"
	}
	into.WriteString(open)
	for i, key := range keys(object) {
		into.WriteString(comma(i) + inner + strconv.Quote(key) + ": ")
		writeValue(t, into, object[key], indent+" ")
	}
	for i, member := range list {
		into.WriteString(comma(i) + inner)
		writeValue(t, into, member, indent+" ")
	}
	into.WriteString("\n" + indent + end)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// The template with parameters must give the stack that the construct makes
// from the corresponding props. The test has every set of parameters that
// changes the structure.
func TestTemplateWithParametersIsWhatTheConstructMakes(t *testing.T) {
	text, err := os.ReadFile("template.json")
	if err != nil {
		t.Fatal(err)
	}
	var file template
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, test := range parameterSets {
		t.Run(name, func(t *testing.T) {
			want := normal(defaultStack(t, func(stack awscdk.Stack) *infra.ImageBuilderProps {
				props := infra.DefaultProps()
				test.props(stack, props)
				return props
			}))
			if diff := cmp.Diff(want, resolveTemplate(t, file, test.parameters)); diff != "" {
				t.Errorf("-construct +template:\n%s", diff)
			}
		})
	}
}

type parameterSet struct {
	parameters map[string]string
	props      func(awscdk.Stack, *infra.ImageBuilderProps)
}

func project(name string) func(*infra.ImageBuilderProps) {
	return func(p *infra.ImageBuilderProps) {
		p.ProjectName = jsii.String(name)
		p.Repositories = jsii.Strings(name + "/app")
		p.RepositoryPrefix = jsii.String(name + "/")
	}
}

const (
	hub   = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:ecr-pullthroughcache/team/hub-a1B2c3"
	bound = "arn:aws:iam::123456789012:policy/team/bound"

	vpc1    = "vpc-0123456789abcde01"
	subnet1 = "subnet-0123456789abcde01"
	subnet2 = "subnet-0123456789abcde02"
	subnet3 = "subnet-0123456789abcde03"
	sg1     = "sg-0123456789abcde01"
	sg2     = "sg-0123456789abcde02"
)

var parameterSets = map[string]parameterSet{
	"none": {nil, func(awscdk.Stack, *infra.ImageBuilderProps) {}},
	"project": {map[string]string{"ProjectName": "team-images"}, func(_ awscdk.Stack, p *infra.ImageBuilderProps) {
		project("team-images")(p)
	}},
	"names": {map[string]string{"RepositoryName": "team/web", "RepositoryPrefix": "team/a/", "CreateRepositoriesOnPush": "true"}, func(_ awscdk.Stack, p *infra.ImageBuilderProps) {
		p.Repositories, p.RepositoryPrefix, p.CreateRepositoriesOnPush = jsii.Strings("team/web"), jsii.String("team/a/"), jsii.Bool(true)
	}},
	"repositories": {map[string]string{"ProjectName": "b2", "CreateRepositoriesOnPush": "true", "ImageTagMutability": "IMMUTABLE", "UntaggedImageExpiryInDays": "20"}, func(_ awscdk.Stack, p *infra.ImageBuilderProps) {
		project("b2")(p)
		p.CreateRepositoriesOnPush, p.ImageTagMutability, p.UntaggedImageExpiry = jsii.Bool(true), awsecr.TagMutability_IMMUTABLE, days(20)
	}},
	"numbers": {map[string]string{"UntaggedImageExpiryInDays": "30", "CacheExpiryInDays": "2", "SourceExpiryInDays": "3", "TimeoutInMinutes": "90",
		"QueuedTimeoutInMinutes": "5", "ConcurrentBuildLimit": "4", "LogRetentionInDays": "365"}, func(_ awscdk.Stack, p *infra.ImageBuilderProps) {
		p.UntaggedImageExpiry, p.CacheExpiry, p.SourceExpiry = days(30), days(2), days(3)
		p.Timeout, p.QueuedTimeout, p.ConcurrentBuildLimit = minutes(90), minutes(5), jsii.Number(4)
		p.LogRetention = awslogs.RetentionDays_ONE_YEAR
	}},
	"no expiry of logs": {map[string]string{"LogRetentionInDays": "0", "ComputeType": "BUILD_GENERAL1_LARGE"}, func(_ awscdk.Stack, p *infra.ImageBuilderProps) {
		p.LogRetention, p.ComputeType = awslogs.RetentionDays_INFINITE, awscodebuild.ComputeType_LARGE
	}},
	"docker hub": {map[string]string{"DockerHubSecretArn": hub}, func(stack awscdk.Stack, p *infra.ImageBuilderProps) {
		p.DockerHubCredentials = hubCredentials(stack, hub)
	}},
	"vpc": {map[string]string{"VpcId": vpc1, "SubnetIds": subnet1}, func(stack awscdk.Stack, p *infra.ImageBuilderProps) {
		p.Vpc = networkOf(stack, vpc1, subnet1)
	}},
	"security groups": {map[string]string{"VpcId": vpc1, "SubnetIds": subnet1 + "," + subnet2 + "," + subnet3, "SecurityGroupIds": sg1 + "," + sg2}, func(stack awscdk.Stack, p *infra.ImageBuilderProps) {
		p.Vpc, p.SecurityGroups = networkOf(stack, vpc1, subnet1, subnet2, subnet3), groupsOf(stack, sg1, sg2)
	}},
	"everything": {map[string]string{"ProjectName": "nineteen-characters", "PermissionsBoundaryArn": bound, "DockerHubSecretArn": hub,
		"VpcId": vpc1, "SubnetIds": subnet1 + "," + subnet2, "CreateRepositoriesOnPush": "true", "ImageTagMutability": "IMMUTABLE",
		"UntaggedImageExpiryInDays": "14"}, func(stack awscdk.Stack, p *infra.ImageBuilderProps) {
		project("nineteen-characters")(p)
		p.PermissionsBoundary, p.DockerHubCredentials, p.Vpc = boundary(stack, bound), hubCredentials(stack, hub), networkOf(stack, vpc1, subnet1, subnet2)
		p.CreateRepositoriesOnPush, p.ImageTagMutability, p.UntaggedImageExpiry = jsii.Bool(true), awsecr.TagMutability_IMMUTABLE, days(14)
	}},
}

// The sets above give every parameter, so that none of them can be forgotten.
func TestParameterSetsGiveEveryParameter(t *testing.T) {
	for name := range declarations {
		if !slices.ContainsFunc(setsList(), func(s parameterSet) bool { _, given := s.parameters[name]; return given }) {
			t.Errorf("no set of parameters gives %s", name)
		}
	}
}

func setsList() (list []parameterSet) {
	for _, set := range parameterSets {
		list = append(list, set)
	}
	return list
}
