package infra_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

func deployed() *infra.ImageBuilderAttributes {
	return &infra.ImageBuilderAttributes{
		StackName:           jsii.String("flexbuild"),
		ProjectName:         jsii.String("flexbuild"),
		LogGroupName:        jsii.String("/aws/codebuild/flexbuild"),
		SourceBucketName:    jsii.String("uploads"),
		CacheRepositoryName: jsii.String("flexbuild-cache"),
		RepositoryNames:     jsii.Strings("app"),
		RepositoryPrefix:    jsii.String("flexbuild/"),
		ArmImage:            jsii.String(armImage),
	}
}

func TestImportedBuilderGrantsTheSame(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), deployed())
		caller := newCaller(stack)
		builder.GrantStart(caller, nil)
		builder.GrantPull(caller)
		builder.OnBuildFailed(jsii.String("Failed"), nil)
	})
	got := allowed(documentStatements(tpl.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument")))
	const here = ":${AWS::Region}:${AWS::AccountId}:"
	want := map[string][]string{
		"codebuild:StartBuild":          {"arn:${AWS::Partition}:codebuild" + here + "project/flexbuild"},
		"logs:GetLogEvents":             {"arn:${AWS::Partition}:logs" + here + "log-group:/aws/codebuild/flexbuild:*"},
		"s3:PutObject":                  {"arn:${AWS::Partition}:s3:::uploads/sources/*"},
		"cloudformation:DescribeStacks": {"arn:${AWS::Partition}:cloudformation" + here + "stack/flexbuild/*"},
		"ecr:BatchGetImage": {"arn:${AWS::Partition}:ecr" + here + "repository/app",
			"arn:${AWS::Partition}:ecr" + here + "repository/flexbuild/*"},
	}
	for action, resources := range want {
		if diff := cmp.Diff(resources, got[action]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", action, diff)
		}
	}
	if n := len(tpl.resources(projectType)); n != 0 {
		t.Errorf("%d projects are made", n)
	}
}

func TestImportedBuilderWithItsRoleIsGranted(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		attributes := deployed()
		attributes.RoleArn = jsii.String("arn:aws:iam::123456789012:role/builds")
		builder := infra.FromAttributes(stack, jsii.String("Builder"), attributes)
		awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil).GrantRead(builder, nil)
	})
	check(t, tpl, []want{
		{"AWS::IAM::Policy", "", "Properties.Roles", `["builds"]`},
		{"AWS::IAM::Policy", "", "Properties.PolicyDocument.Statement.0.Action.0", `"secretsmanager:GetSecretValue"`},
	})
}

func TestImportedBuilderWithoutItsRoleIsGrantedNothing(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), deployed())
		secret := awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil)
		const want = "Stack/Builder, resource imported without a role"
		if message := panicOf(func() { secret.GrantRead(builder, nil) }); !strings.Contains(message, want) {
			t.Errorf("panic: %q, want %q in it", message, want)
		}
	})
}

func TestBuilderFromTheOutputsOfItsStack(t *testing.T) {
	outputs := map[string]string{
		"ImagesContractVersion": buildspec.Version, "ImagesProjectName": "flexbuild", "ImagesLogGroupName": "/aws/codebuild/flexbuild",
		"ImagesSourceBucketName": "uploads", "ImagesCacheRepositoryName": "flexbuild-cache", "ImagesRepositoryNames": "app",
		"ImagesRepositoryPrefix": "flexbuild/", "ImagesArmImage": armImage, "Topic": "t",
		"ImagesBuildRoleArn": "arn:aws:iam::123456789012:role/builds", "ImagesEncryptionKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
		"ImagesParameterName": "/team/images",
	}
	granted := func(from func(awscdk.Stack) infra.IImageBuilder) template {
		return synthesizeStack(t, nil, func(stack awscdk.Stack) {
			builder := from(stack)
			builder.GrantStart(newCaller(stack), nil)
			awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil).GrantRead(builder, nil)
		})
	}
	got := granted(func(stack awscdk.Stack) infra.IImageBuilder {
		return infra.FromStackOutputs(stack, jsii.String("Builder"), jsii.String("flexbuild"), outputs)
	})
	want := granted(func(stack awscdk.Stack) infra.IImageBuilder {
		attributes := deployed()
		attributes.RoleArn = jsii.String("arn:aws:iam::123456789012:role/builds")
		attributes.EncryptionKeyArn = jsii.String("arn:aws:kms:eu-west-1:123456789012:key/1")
		attributes.ParameterName = jsii.String("/team/images")
		return infra.FromAttributes(stack, jsii.String("Builder"), attributes)
	})
	may := allowed(documentStatements(got.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument")))
	for _, action := range []string{"kms:GenerateDataKey", "ssm:GetParameter"} {
		if may[action] == nil {
			t.Errorf("callers may not do %s", action)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-from attributes +from outputs:\n%s", diff)
	}
}

func TestFromStackOutputsSaysWhatIsWrong(t *testing.T) {
	for want, outputs := range map[string]map[string]string{
		"ProjectName: missing": {"ContractVersion": buildspec.Version},
		`FromStackOutputs: stack "s": no image builder has the output prefix "": those of the stack have ["A" "B"]: name one as s.PREFIX`: {"AContractVersion": buildspec.Version, "BContractVersion": buildspec.Version},
		"has version 99 of the contract": {"ContractVersion": "99"},
	} {
		message := panicOf(func() { infra.FromStackOutputs(nil, jsii.String("Builder"), jsii.String("s"), outputs) })
		if !strings.Contains(message, want) {
			t.Errorf("panic: %q, want %q", message, want)
		}
	}
}

// An imported builder refuses the methods that would silently have no effect.
func TestImportedBuilderSaysWhatItLacks(t *testing.T) {
	attributes := deployed()
	attributes.RepositoryNames, attributes.RepositoryPrefix = nil, nil
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), attributes)
		const want = "GrantPull: the imported builder Stack/Builder has no repositories: give"
		if message := panicOf(func() { builder.GrantPull(newCaller(stack)) }); !strings.HasPrefix(message, want) {
			t.Errorf("panic: %q, want %q", message, want)
		}
	})
}

func TestFromAttributesChecksThem(t *testing.T) {
	for want, change := range map[string]func(*infra.ImageBuilderAttributes){
		`RepositoryPrefix: "team": write lower-case`:                func(a *infra.ImageBuilderAttributes) { a.RepositoryPrefix = jsii.String("team") },
		`RepositoryNames[0]: "A": write lower-case`:                 func(a *infra.ImageBuilderAttributes) { a.RepositoryNames = jsii.Strings("A") },
		`ParameterName: "": write a path such as`:                   func(a *infra.ImageBuilderAttributes) { a.ParameterName = jsii.String("") },
		`ArmImage: "mine": write the name of an ARM image of CodeB`: func(a *infra.ImageBuilderAttributes) { a.ArmImage = jsii.String("mine") },
	} {
		attributes := deployed()
		change(attributes)
		if message := panicOf(func() { infra.FromAttributes(nil, jsii.String("Builder"), attributes) }); !strings.HasPrefix(message, want) {
			t.Errorf("panic: %q, want %q", message, want)
		}
	}
}

func TestFromAttributesNamesAllThatIsMissing(t *testing.T) {
	message := panicOf(func() {
		infra.FromAttributes(nil, jsii.String("Builder"), &infra.ImageBuilderAttributes{StackName: jsii.String("flexbuild")})
	})
	for _, name := range []string{"ProjectName", "LogGroupName", "SourceBucketName", "CacheRepositoryName"} {
		if !strings.Contains(message, name+": missing") {
			t.Errorf("panic: %q, want %s in it", message, name)
		}
	}
	if strings.Contains(message, "StackName") {
		t.Errorf("panic: %q names StackName, which was given", message)
	}
}

const lookupKey = "account=123456789012:parameterName=/team/images:region=eu-west-1"

// lookup synthesizes a stack that finds its builder by a parameter, and grants
// everything that can be granted. held is what the CDK has read from the
// parameter; it is empty if the CDK has not read it yet.
func lookup(t *testing.T, held string) template {
	t.Helper()
	app := newApp(t)
	if held != "" {
		app.Node().SetContext(jsii.String("ssm:"+lookupKey), held)
	}
	stack := awscdk.NewStack(app, jsii.String("Stack"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("123456789012"), Region: jsii.String("eu-west-1")},
	})
	builder := infra.FromParameterName(stack, jsii.String("Builder"), jsii.String("/team/images"))
	caller := newCaller(stack)
	builder.GrantStart(caller, nil)
	builder.GrantPull(caller)
	awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil).GrantRead(builder, nil)
	return readTemplate(t, synth(app), "Stack")
}

// One stack writes the parameter, and another stack reads it.
func TestBuilderFromItsParameter(t *testing.T) {
	written := synthesize(t, &infra.ImageBuilderProps{
		ProjectName: jsii.String("images"), RepositoryPrefix: jsii.String("team/"), ParameterName: jsii.String("/team/images"),
	}).the(t, "AWS::SSM::Parameter", "").at("Properties.Value")
	resolved := strings.NewReplacer(
		"${Project}", "images", "${LogGroup}", "/aws/codebuild/images", "${SourceBucket}", "uploads", "${CacheRepository}", "images-cache",
		"${Role.Arn}", "arn:aws:iam::123456789012:role/builds", "${AWS::Region}", "eu-west-1",
	).Replace(regexp.MustCompile(`\{"Fn::Select.*?\]\]?\}`).ReplaceAllString(text(written), "registry"))
	tpl := lookup(t, resolved)
	may := allowed(documentStatements(tpl.the(t, "AWS::IAM::Policy", "Caller").at("Properties.PolicyDocument")))
	for action, want := range map[string][]string{
		"codebuild:StartBuild":          {"arn:${AWS::Partition}:codebuild:eu-west-1:123456789012:project/images"},
		"ssm:GetParameter":              {"arn:${AWS::Partition}:ssm:eu-west-1:123456789012:parameter/team/images"},
		"ecr:BatchGetImage":             {"arn:${AWS::Partition}:ecr:eu-west-1:123456789012:repository/team/*"},
		"cloudformation:DescribeStacks": nil,
	} {
		if diff := cmp.Diff(want, may[action]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", action, diff)
		}
	}
	check(t, tpl, []want{{rolePolicy, "BuilderRole", "Properties.Roles", `["builds"]`}})
}

// In its first pass, the CDK only finds out which parameters it has to read.
func TestParameterIsAskedForBeforeItIsKnown(t *testing.T) {
	tpl := lookup(t, "")
	check(t, tpl, []want{{rolePolicy, "BuilderRole", "Properties.Roles", `["unknown"]`}})
}

func TestFromParameterNameSaysWhatIsWrong(t *testing.T) {
	for want, held := range map[string]string{
		"FromParameterName: /team/images holds \"no JSON\", which is no image builder's: give": "no JSON",
		"FromParameterName: /team/images: it has version 99 of the contract, this program":     `{"ContractVersion":"99"}`,
		"ProjectName: missing": `{"ContractVersion":"` + buildspec.Version + `"}`,
	} {
		if message := panicOf(func() { lookup(t, held) }); !strings.Contains(message, want) {
			t.Errorf("panic: %q, want %q", message, want)
		}
	}
	const want = `FromParameterName: "": write a path such as`
	if message := panicOf(func() { infra.FromParameterName(nil, jsii.String("Builder"), nil) }); !strings.HasPrefix(message, want) {
		t.Errorf("panic: %q, want %q", message, want)
	}
}
