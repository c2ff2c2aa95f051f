package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodecommit"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// build synthesizes a builder whose props need a stack.
func build(t *testing.T, of func(awscdk.Stack) props) template {
	t.Helper()
	return synthesizeStack(t, nil, func(stack awscdk.Stack) {
		given := of(stack)
		infra.NewImageBuilder(stack, jsii.String("Builder"), &given)
	})
}

// just returns props that do not need a stack.
func just(p props) func(awscdk.Stack) props {
	return func(awscdk.Stack) props { return p }
}

// may reports whether the builds' role allows action on a resource.
func may(t *testing.T, tpl template, action, resource string) bool {
	t.Helper()
	for _, statement := range documentStatements(tpl.the(t, "AWS::IAM::Policy", "BuilderPolicy").at("Properties.PolicyDocument")) {
		for _, a := range texts(statement["Action"]) {
			for _, r := range texts(statement["Resource"]) {
				if a == action && r == resource {
					return true
				}
			}
		}
	}
	return false
}

func TestBuildsMayUseTheInterfacesOfTheirSubnetsOnly(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) props {
		network := newNetwork(stack)
		return props{Vpc: network.vpc, SecurityGroups: &[]awsec2.ISecurityGroup{network.group}}
	})
	check(t, tpl, []want{{projectType, "", "Properties.VpcConfig",
		`{"SecurityGroupIds":["sg-12345678"],"Subnets":["subnet-11111111","subnet-22222222"],"VpcId":"vpc-12345678"}`}})
	if n := len(tpl.resources("AWS::IAM::Policy")); n != 1 {
		t.Errorf("%d policies, want the role's one", n)
	}
	for _, statement := range statements(t, tpl) {
		if text(statement["Action"]) != "ec2:CreateNetworkInterfacePermission" {
			continue
		}
		subnets := texts(statement.at("Condition.ArnLike.ec2:Subnet"))
		if len(subnets) != 2 || subnets[0] != "arn:*:ec2:*:*:subnet/subnet-11111111" {
			t.Errorf("interfaces are bound to %q, want the two subnets", subnets)
		}
		return
	}
	t.Error("builds may not use network interfaces")
}

func TestBuildsMayDecryptWhatIsUploaded(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) props { return props{EncryptionKey: newKey(stack, "Key")} })
	if !may(t, tpl, "kms:Decrypt", keyARN) {
		t.Error("they may not")
	}
}

func TestBucketsOfOthersBringTheirKeys(t *testing.T) {
	bucket := func(stack awscdk.Stack, id string) awss3.IBucket {
		return awss3.Bucket_FromBucketAttributes(stack, &id, &awss3.BucketAttributes{BucketName: &id, EncryptionKey: newKey(stack, id+"Key")})
	}
	logs := build(t, func(stack awscdk.Stack) props { return props{LogBucket: bucket(stack, "logs")} })
	if !may(t, logs, "kms:GenerateDataKey", keyARN) {
		t.Error("builds may not encrypt the logs that they copy")
	}
	sources := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), nil).AllowSourceObjects(bucket(stack, "zips"), nil)
	})
	if !may(t, sources, "kms:Decrypt", keyARN) {
		t.Error("builds may not decrypt the sources that they are allowed")
	}
}

func TestBuildsMayPullTheImageThatTheyRunIn(t *testing.T) {
	own := build(t, func(stack awscdk.Stack) props {
		repository := awsecr.Repository_FromRepositoryArn(stack, jsii.String("Tools"), jsii.String("arn:aws:ecr:eu-west-1:123456789012:repository/tools"))
		return props{BuildImage: awscodebuild.LinuxBuildImage_FromEcrRepository(repository, jsii.String("1"))}
	})
	check(t, own, []want{{projectType, "", "Properties.Environment.ImagePullCredentialsType", `"SERVICE_ROLE"`}})
	if !may(t, own, "ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:123456789012:repository/tools") {
		t.Error("builds may not pull it from ECR")
	}
	other := build(t, func(stack awscdk.Stack) props {
		return props{BuildImage: awscodebuild.LinuxBuildImage_FromDockerRegistry(jsii.String("registry.example.com/tools"),
			&awscodebuild.DockerImageOptions{SecretsManagerCredentials: hubSecret(stack)})}
	})
	if !may(t, other, "secretsmanager:GetSecretValue", hubSecretARN) {
		t.Error("builds may not read the credentials for its registry")
	}
}

func TestCloudWatchLogsMayUseTheKeyForTheOneGroup(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) props {
		return props{LogEncryptionKey: awskms.NewKey(stack, jsii.String("Key"), nil)}
	})
	check(t, tpl, []want{{logGroupType, "", "Properties.KmsKeyId", `"${Key.Arn}"`}})
	for _, statement := range documentStatements(tpl.the(t, "AWS::KMS::Key", "").at("Properties.KeyPolicy")) {
		if text(statement.at("Principal.Service")) != "logs.${AWS::Region}.${AWS::URLSuffix}" {
			continue
		}
		group := statement.at("Condition.ArnEquals.kms:EncryptionContext:aws:logs:arn")
		if want := "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/codebuild/Stack-Builder-403EDD3E"; text(group) != want {
			t.Errorf("CloudWatch Logs may use the key for %q, want %q", text(group), want)
		}
		return
	}
	t.Error("CloudWatch Logs may not use the key")
}

func TestBuildsMayCopyTheirLogs(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) props {
		return props{
			ProjectName: jsii.String("images"),
			LogBucket:   awss3.Bucket_FromBucketName(stack, jsii.String("Logs"), jsii.String("logs-of-builds")),
		}
	})
	const logs = "arn:${AWS::Partition}:s3:::logs-of-builds"
	if got := text(tpl.project(t).at("Properties.LogsConfig.S3Logs.Location")); got != logs+"/images" {
		t.Errorf("logs are copied to %q", got)
	}
	if !may(t, tpl, "s3:PutObject", logs+"/images/*") || !may(t, tpl, "s3:GetBucketAcl", logs) {
		t.Error("builds may not copy their logs")
	}
}

// The Docker server of a builder in a VPC accepts connections from builds only.
func TestDockerServerInAVpcLetsBuildsIn(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) props {
		network := newNetwork(stack)
		return props{Vpc: network.vpc, SecurityGroups: &[]awsec2.ISecurityGroup{network.group}, DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL}
	})
	check(t, tpl, []want{
		{projectType, "", "Properties.Environment.DockerServer.SecurityGroupIds.0", `"${DockerServerSecurityGroup.GroupId}"`},
		{"AWS::EC2::SecurityGroupIngress", "", "Properties.FromPort", `9876`},
		{"AWS::EC2::SecurityGroupIngress", "", "Properties.SourceSecurityGroupId", `"sg-12345678"`},
		{"AWS::EC2::SecurityGroupIngress", "", "Properties.GroupId", `"${DockerServerSecurityGroup.GroupId}"`},
	})
}

// A builder of the build's own would not use the layers that are there.
func TestBuildsUseTheDaemonThatKeepsLayers(t *testing.T) {
	for name, test := range map[string]struct {
		props props
		want  string
	}{
		"a Docker server": {props{DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL}, "default"},
		"a layer cache":   {props{LocalCacheModes: &[]awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_DOCKER_LAYER}}, "default"},
		"a source cache":  {props{LocalCacheModes: &[]awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_SOURCE}}, ""},
		"nothing":         {props{}, ""},
	} {
		if got := variables(t, synthesize(t, &test.props))["BUILDX_BUILDER"]; got != test.want {
			t.Errorf("%s: builds use the builder %q, want %q", name, got, test.want)
		}
	}
}

func TestBuildImageThatRunsNoDockerIsRefused(t *testing.T) {
	message := panicOf(func() {
		build(t, just(props{BuildImage: awscodebuild.LinuxLambdaBuildImage_AMAZON_LINUX_2023_NODE_22()}))
	})
	if !strings.HasPrefix(message, "BuildImage: ") || !strings.Contains(message, "of type LINUX_LAMBDA_CONTAINER: give one of type") {
		t.Errorf("panic: %q", message)
	}
}

func TestDockerServerBesideAnARMImageIsRefused(t *testing.T) {
	message := panicOf(func() {
		build(t, just(props{
			BuildImage:              awscodebuild.LinuxArmBuildImage_AMAZON_LINUX_2023_STANDARD_3_0(),
			DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL,
		}))
	})
	if !strings.Contains(message, `DockerServerComputeType: "SMALL" with the ARM image "aws/codebuild/amazonlinux-aarch64-standard:3.0"`) {
		t.Errorf("panic: %q", message)
	}
}

// CodeBuild gives builds no public address.
func TestPublicSubnetsAreRefused(t *testing.T) {
	message := panicOf(func() {
		build(t, func(stack awscdk.Stack) props {
			return props{Vpc: awsec2.Vpc_FromVpcAttributes(stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
				VpcId: jsii.String("vpc-12345678"), AvailabilityZones: jsii.Strings("eu-west-1a"),
				PublicSubnetIds: jsii.Strings("subnet-33333333"),
			})}
		})
	})
	if !strings.HasPrefix(message, "SubnetSelection: subnet-33333333: some are public") || !strings.Contains(message, "NAT gateway") {
		t.Errorf("panic: %q", message)
	}
}

func TestExistingRepositoryOfAnUnknownRegistryIsRefused(t *testing.T) {
	const arn = "arn:aws:ecr:eu-west-1:123456789012:repository/theirs"
	for name, test := range map[string]struct {
		env  *awscdk.Environment
		want string
	}{
		"no environment": {nil, "give the stack an Env, or import the repository by its name"},
		"another region": {&awscdk.Environment{Account: jsii.String("123456789012"), Region: jsii.String("eu-west-2")}, "is of another account or region"},
		"the same":       {&awscdk.Environment{Account: jsii.String("123456789012"), Region: jsii.String("eu-west-1")}, ""},
	} {
		message := panicOf(func() {
			synthesizeStack(t, &awscdk.StackProps{Env: test.env}, func(stack awscdk.Stack) {
				infra.NewImageBuilder(stack, jsii.String("Builder"), &props{ExistingRepositories: &[]awsecr.IRepository{
					awsecr.Repository_FromRepositoryArn(stack, jsii.String("Theirs"), jsii.String(arn)),
				}})
			})
		})
		if !strings.Contains(message, test.want) || test.want == "" && message != "" {
			t.Errorf("%s: panic %q, want %q", name, message, test.want)
		}
	}
}

// The keys and the role of a builder may belong to other stacks of the app.
func TestKeysAndRolesOfOtherStacksMakeNoCycle(t *testing.T) {
	app := newApp(t)
	other := awscdk.NewStack(app, jsii.String("Other"), nil)
	stack := awscdk.NewStack(app, jsii.String("Stack"), nil)
	key := awskms.NewKey(other, jsii.String("Key"), nil)
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &props{
		Role: awsiam.NewRole(other, jsii.String("Role"), &awsiam.RoleProps{
			AssumedBy: awsiam.NewServicePrincipal(jsii.String("codebuild.amazonaws.com"), nil),
		}),
		EncryptionKey: key,
		LogBucket:     awss3.NewBucket(other, jsii.String("Logs"), &awss3.BucketProps{EncryptionKey: key}),
	})
	builder.AllowSecret(awssecretsmanager.NewSecret(other, jsii.String("Secret"), &awssecretsmanager.SecretProps{EncryptionKey: key}))
	builder.AllowBaseImages(awsecr.NewRepository(other, jsii.String("Base"), nil))
	builder.GrantStart(newCaller(stack), nil)
	tpl := readTemplate(t, synth(app), "Stack") // or it panics: DependencyCycle
	if policies := tpl.resources("AWS::IAM::Policy"); len(policies) != 2 {
		t.Errorf("%d policies, want the builder's and the caller's", len(policies))
	}
}

func TestBuildsMayCloneWhatIsAllowed(t *testing.T) {
	const connection = "arn:aws:codestar-connections:eu-west-1:123456789012:connection/1f2e"
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowConnection(jsii.String(connection))
		builder.AllowCodeCommit(awscodecommit.NewRepository(stack, jsii.String("Code"), &awscodecommit.RepositoryProps{RepositoryName: jsii.String("code")}))
		builder.AllowSourceObjects(awss3.NewBucket(stack, jsii.String("Zips"), nil), jsii.String("team/"))
	})
	for action, resource := range map[string]string{
		"codestar-connections:UseConnection": connection, "codestar-connections:GetConnectionToken": connection,
		"codecommit:GitPull": "${Code.Arn}",
		"s3:GetObject":       "${Zips.Arn}/team/*", "s3:GetBucketLocation": "${Zips.Arn}",
	} {
		if !may(t, tpl, action, resource) {
			t.Errorf("builds may not do %s on %s", action, resource)
		}
	}
}

func TestAllowConnectionRefusesWhatIsNone(t *testing.T) {
	message := panicOf(func() {
		synthesizeStack(t, nil, func(stack awscdk.Stack) {
			infra.NewImageBuilder(stack, jsii.String("Builder"), nil).AllowConnection(jsii.String("my-connection"))
		})
	})
	if !strings.Contains(message, `AllowConnection: "my-connection": give the ARN of a connection`) {
		t.Errorf("panic: %q", message)
	}
}

func TestValidateMachine(t *testing.T) {
	awscdk.NewApp(nil)
	stack := awscdk.NewStack(nil, nil, nil)
	network := newNetwork(stack)
	groups := make([]awsec2.ISecurityGroup, 6)
	fleet := awscodebuild.Fleet_FromFleetArn(stack, jsii.String("Fleet"), jsii.String("arn:aws:codebuild:eu-west-1:123456789012:fleet/ours:1"))
	for want, p := range map[string]props{
		"SubnetSelection: given without a Vpc":                                     {SubnetSelection: &awsec2.SubnetSelection{}},
		"SecurityGroups: given without a Vpc":                                      {SecurityGroups: &[]awsec2.ISecurityGroup{network.group}},
		"SecurityGroups[0]: nil: give a security group":                            {Vpc: network.vpc, SecurityGroups: &[]awsec2.ISecurityGroup{nil}},
		"Vpc: given together with a Fleet":                                         {Vpc: network.vpc, Fleet: fleet},
		"SecurityGroups: 6 groups, CodeBuild takes 5":                              {Vpc: network.vpc, SecurityGroups: &groups},
		`ArmImage: "me/mine:1": write the name of an ARM image of CodeBuild's own`: {ArmImage: jsii.String("me/mine:1")},
		"with a Fleet or a DockerServerComputeType, which are of one":              {ArmImage: jsii.String(armImage), DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL},
		"LocalCacheModes: [SOURCE] in a Vpc, where CodeBuild":                      {Vpc: network.vpc, LocalCacheModes: &[]awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_SOURCE}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
