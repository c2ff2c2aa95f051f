package infra_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

// registry is the host of the registry: ECR's own answer, up to the first
// slash.
const registry = `{"Fn::Select":[0,{"Fn::Split":["/",{"Fn::GetAtt":["CacheRepository","RepositoryUri"]}]}]}`

const armImage = "aws/codebuild/amazonlinux-aarch64-standard:3.0"

func TestOutputsAreWhatAClientHasToKnow(t *testing.T) {
	for name, test := range map[string]struct {
		props *infra.ImageBuilderProps
		want  map[string]string // besides those of every builder
	}{
		"default stack": {infra.DefaultProps(), map[string]string{"RepositoryNames": "app", "RepositoryPrefix": "flexbuild/"}},
		"no props":      {nil, map[string]string{"RepositoryPrefix": "stack-builder-403edd3e/"}},
		"names alone": {&infra.ImageBuilderProps{Repositories: jsii.Strings("bb", "team/a")},
			map[string]string{"RepositoryNames": "bb,team/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want["ContractVersion"] = buildspec.Version
			test.want["ArmImage"] = armImage
			test.want["ProjectName"] = "${Project}"
			test.want["BuildRoleArn"] = "${Role.Arn}"
			test.want["LogGroupName"] = "${LogGroup}"
			test.want["SourceBucketName"] = "${SourceBucket}"
			test.want["SourcePrefix"] = "sources/"
			test.want["SourceExpiryInDays"] = "7"
			test.want["Registry"] = registry
			test.want["CacheRepositoryName"] = "${CacheRepository}"
			got := map[string]string{}
			for key, output := range synthesize(t, test.props)["Outputs"].(map[string]any) {
				got[key] = text(output.(map[string]any)["Value"])
			}
			if diff := cmp.Diff(test.want, anonymous(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestArmImageIsPublishedWhereTheMachineIsTheUsualOne(t *testing.T) {
	for name, test := range map[string]struct {
		props infra.ImageBuilderProps
		want  any
	}{
		"another ARM image": {infra.ImageBuilderProps{ArmImage: jsii.String("aws/codebuild/amazonlinux2-aarch64-standard:3.0")}, "aws/codebuild/amazonlinux2-aarch64-standard:3.0"},
		"another image":     {infra.ImageBuilderProps{BuildImage: awscodebuild.LinuxBuildImage_STANDARD_7_0()}, nil},
		"both images":       {infra.ImageBuilderProps{BuildImage: awscodebuild.LinuxBuildImage_STANDARD_7_0(), ArmImage: jsii.String(armImage)}, armImage},
		"a Docker server":   {infra.ImageBuilderProps{DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := synthesize(t, &test.props).at("Outputs.ArmImage.Value"); got != test.want {
				t.Errorf("ArmImage is %v, want %v", got, test.want)
			}
		})
	}
}

var builtID = regexp.MustCompile(`"Builder(\w+?)[0-9A-F]{8}"`)

// anonymous takes the builder's id and the hash out of logical ids.
func anonymous[K comparable](texts map[K]string) map[K]string {
	for key, text := range texts {
		texts[key] = builtID.ReplaceAllString(text, `"$1"`)
	}
	return texts
}

func TestParameterHoldsTheOutputs(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Repositories: jsii.Strings("aa"), OutputPrefix: jsii.String("Images"), ParameterName: jsii.String("/team/images"),
		})
		builder.GrantRead(newCaller(stack))
	})
	parameter := tpl.the(t, "AWS::SSM::Parameter", "")
	if name := parameter.at("Properties.Name"); name != "/team/images" {
		t.Errorf("the parameter is called %v", name)
	}
	var got map[string]string
	value := text(parameter.at("Properties.Value"))
	if err := json.Unmarshal([]byte(quoted.ReplaceAllString(value, "fn")), &got); err != nil {
		t.Fatalf("%v: %s", err, value)
	}
	for key, output := range tpl["Outputs"].(map[string]any) {
		bare := strings.TrimPrefix(key, "Images")
		if want := text(output.(map[string]any)["Value"]); got[bare] != want && got[bare] != "fn" {
			t.Errorf("%s is %q in the parameter, %q in the output", bare, got[bare], want)
		}
		delete(got, bare)
	}
	if len(got) > 0 {
		t.Errorf("the parameter has %v besides", got)
	}
	may := allowed(documentStatements(tpl.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument")))
	if diff := cmp.Diff([]string{"arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/team/images"}, may["ssm:GetParameter"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// quoted is a function that text leaves as JSON.
var quoted = regexp.MustCompile(`\{"Fn::Select.*?\}\]\}\]\}`)
