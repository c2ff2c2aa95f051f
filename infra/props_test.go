package infra_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

// want is a place in a resource, or in the template where kind is empty, and
// what is there in JSON on one line.
type want struct{ kind, id, path, value string }

const (
	projectType    = "AWS::CodeBuild::Project"
	repositoryType = "AWS::ECR::Repository"
	bucketType     = "AWS::S3::Bucket"
	creationType   = "AWS::ECR::RepositoryCreationTemplate"
	logGroupType   = "AWS::Logs::LogGroup"
	rolePolicy     = "AWS::IAM::Policy"

	connectionARN = "arn:aws:codeconnections:eu-west-1:123456789012:connection/1f2e"
)

func TestDefaults(t *testing.T) {
	tpl := synthesize(t, nil)
	check(t, tpl, []want{
		{projectType, "", "Properties.Name", `"Stack-Builder-403EDD3E"`},
		{projectType, "", "Properties.TimeoutInMinutes", `60`},
		{projectType, "", "Properties.QueuedTimeoutInMinutes", `480`},
		{projectType, "", "Properties.ConcurrentBuildLimit", `null`},
		{projectType, "", "Properties.AutoRetryLimit", `null`},
		{projectType, "", "Properties.Artifacts", `{"Type":"NO_ARTIFACTS"}`},
		{projectType, "", "Properties.Source.Type", `"GITHUB"`},
		{projectType, "", "Properties.Source.Location", `"https://github.com/octocat/Hello-World"`},
		{projectType, "", "Properties.Source.GitCloneDepth", `null`},
		{projectType, "", "Properties.Source.GitSubmodulesConfig", `null`},
		{projectType, "", "Properties.Environment.Type", `"LINUX_CONTAINER"`},
		{projectType, "", "Properties.Environment.Image", `"aws/codebuild/amazonlinux-x86_64-standard:5.0"`},
		{projectType, "", "Properties.Environment.ComputeType", `"BUILD_GENERAL1_SMALL"`},
		{projectType, "", "Properties.Environment.PrivilegedMode", `true`},
		{logGroupType, "", "Properties.LogGroupName", `"/aws/codebuild/Stack-Builder-403EDD3E"`},
		{logGroupType, "", "Properties.RetentionInDays", `30`},
		{logGroupType, "", "DeletionPolicy", `"Delete"`},
		{repositoryType, "CacheRepository", "Properties.RepositoryName", `"stack-builder-403edd3e-cache"`},
		{repositoryType, "CacheRepository", "Properties.ImageTagMutability", `"MUTABLE"`},
		{repositoryType, "CacheRepository", "Properties.EmptyOnDelete", `true`},
		{repositoryType, "CacheRepository", "DeletionPolicy", `"Delete"`},
		{repositoryType, "CacheRepository", "Properties.LifecyclePolicy.LifecyclePolicyText", compact(cachesExpire(14))},
		{bucketType, "", "DeletionPolicy", `"RetainExceptOnCreate"`},
		{bucketType, "", "Properties.PublicAccessBlockConfiguration",
			`{"BlockPublicAcls":true,"BlockPublicPolicy":true,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`},
		{bucketType, "", "Properties.BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm", `"AES256"`},
		{bucketType, "", "Properties.LifecycleConfiguration.Rules.0", `{"ExpirationInDays":7,"Id":"ExpireSources","Prefix":"sources/","Status":"Enabled"}`},
		{bucketType, "", "Properties.LifecycleConfiguration.Rules.1.AbortIncompleteMultipartUpload.DaysAfterInitiation", `1`},
		{"AWS::S3::BucketPolicy", "", "Properties.PolicyDocument.Statement.0.Condition", `{"Bool":{"aws:SecureTransport":"false"}}`},
	})
	if got := tpl.project(t).at("Properties.Source.BuildSpec"); got != buildspec.Source() {
		t.Errorf("the project's buildspec is %q, want the contract's", got)
	}
	if n := len(tpl.resources(repositoryType)); n != 1 {
		t.Errorf("%d repositories, want that of caches alone", n)
	}
}

func TestDefaultsOfADeclaredRepository(t *testing.T) {
	check(t, synthesize(t, &infra.ImageBuilderProps{Repositories: jsii.Strings("team/app")}), []want{
		{repositoryType, "Repositoryteamapp", "Properties.RepositoryName", `"team/app"`},
		{repositoryType, "Repositoryteamapp", "Properties.ImageTagMutability", `"MUTABLE"`},
		{repositoryType, "Repositoryteamapp", "Properties.ImageScanningConfiguration.ScanOnPush", `true`},
		{repositoryType, "Repositoryteamapp", "Properties.EmptyOnDelete", `null`},
		{repositoryType, "Repositoryteamapp", "DeletionPolicy", `"RetainExceptOnCreate"`},
		{repositoryType, "Repositoryteamapp", "UpdateReplacePolicy", `"Retain"`},
		{repositoryType, "Repositoryteamapp", "Properties.LifecyclePolicy", `null`},
	})
}

const untaggedExpiry = `{"rules":[{"rulePriority":1,"description":"Untagged images expire","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countNumber":14,"countUnit":"days"},"action":{"type":"expire"}}]}`

// cachesExpire returns the lifecycle policy of the repository of caches.
func cachesExpire(days int) string {
	return fmt.Sprintf(`{"rules":[`+
		`{"rulePriority":1,"description":"Replaced caches expire","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countNumber":1,"countUnit":"days"},"action":{"type":"expire"}},`+
		`{"rulePriority":2,"description":"Caches expire","selection":{"tagStatus":"any","countType":"sinceImagePushed","countNumber":%d,"countUnit":"days"},"action":{"type":"expire"}}]}`, days)
}

const keepTen = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}`

// eachProp has, by its name, a prop and what it changes.
var eachProp = map[string]struct {
	props func(awscdk.Stack) props
	want  []want
}{
	"ProjectName": {just(props{ProjectName: jsii.String("Team__Images")}), []want{
		{projectType, "", "Properties.Name", `"Team__Images"`},
		{logGroupType, "", "Properties.LogGroupName", `"/aws/codebuild/Team__Images"`},
		{repositoryType, "Cache", "Properties.RepositoryName", `"team-images-cache"`},
	}},
	"Role": {func(stack awscdk.Stack) props {
		return props{Role: awsiam.Role_FromRoleArn(stack, jsii.String("Given"), jsii.String("arn:aws:iam::123456789012:role/team/builds"), nil)}
	}, []want{
		{"AWS::IAM::Policy", "", "Properties.Roles", `["builds"]`},
		{projectType, "", "Properties.ServiceRole", `"arn:aws:iam::123456789012:role/team/builds"`},
	}},
	"PermissionsBoundary": {func(stack awscdk.Stack) props {
		return props{PermissionsBoundary: awsiam.ManagedPolicy_FromManagedPolicyName(stack, jsii.String("Boundary"), jsii.String("boundary"))}
	}, []want{
		{"AWS::IAM::Role", "", "Properties.PermissionsBoundary",
			`"arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/boundary"`},
	}},
	"Repositories": {just(props{Repositories: jsii.Strings("aa", "team/bb")}), []want{
		{repositoryType, "Repositoryaa", "Properties.RepositoryName", `"aa"`},
		{repositoryType, "Repositoryteambb", "Properties.RepositoryName", `"team/bb"`},
		{"", "", "Outputs.RepositoryNames.Value", `"aa,team/bb"`},
	}},
	"ExistingRepositories": {func(stack awscdk.Stack) props {
		return props{Repositories: jsii.Strings("aa"), ExistingRepositories: &[]awsecr.IRepository{
			awsecr.Repository_FromRepositoryName(stack, jsii.String("Theirs"), jsii.String("theirs")),
		}}
	}, []want{
		{"", "", "Outputs.RepositoryNames.Value", `"aa,theirs"`},
		{"", "", "Outputs.RepositoryPrefix", `null`},
		{rolePolicy, "", "Properties.PolicyDocument.Statement.2.Resource.1", `"arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/theirs"`},
	}},
	"RepositoryPrefix": {just(props{RepositoryPrefix: jsii.String("team/")}), []want{
		{"", "", "Outputs.RepositoryPrefix.Value", `"team/"`},
	}},
	"RepositoryEncryptionKey": {func(stack awscdk.Stack) props {
		return props{Repositories: jsii.Strings("aa"), RepositoryEncryptionKey: newKey(stack, "Key")}
	}, []want{
		{repositoryType, "Repositoryaa", "Properties.EncryptionConfiguration.EncryptionType", `"KMS"`},
		{repositoryType, "Cache", "Properties.EncryptionConfiguration.EncryptionType", `"KMS"`},
	}},
	"DockerHubCredentials": {func(stack awscdk.Stack) props { return props{DockerHubCredentials: hubSecret(stack)} }, []want{
		{upstreamType, "", "Properties.UpstreamRegistry", `"docker-hub"`},
	}},
	"BaseImageUpstreams": {just(props{BaseImageUpstreams: &[]*infra.BaseImageUpstream{{Registry: jsii.String("quay.io")}}}), []want{
		{upstreamType, "", "Properties.UpstreamRegistry", `"quay"`},
	}},
	"DockerHubMirrors": {just(props{DockerHubMirrors: jsii.Strings("mirror.test:5000/hub")}), []want{
		{projectType, "", "Properties.Environment.EnvironmentVariables.2", `{"Name":"MIRRORS","Type":"PLAINTEXT","Value":"docker.io=mirror.test:5000/hub"}`},
	}},
	"SourceConnectionArn": {just(props{SourceConnectionArn: jsii.String(connectionARN)}), []want{
		{projectType, "", "Properties.Source.Auth", `{"Resource":"` + connectionARN + `","Type":"CODECONNECTIONS"}`},
		{rolePolicy, "", "Properties.PolicyDocument.Statement.7",
			`{"Action":["codeconnections:GetConnection","codeconnections:GetConnectionToken","codeconnections:UseConnection"],"Effect":"Allow","Resource":"` + connectionARN + `"}`},
	}},
	"ArmImage": {just(props{ArmImage: jsii.String("aws/codebuild/amazonlinux2-aarch64-standard:3.0")}), []want{
		{"", "", "Outputs.ArmImage.Value", `"aws/codebuild/amazonlinux2-aarch64-standard:3.0"`},
	}},
	"Vpc": {func(stack awscdk.Stack) props { return props{Vpc: newNetwork(stack).vpc} }, []want{
		{projectType, "", "Properties.VpcConfig.Subnets", `["subnet-11111111","subnet-22222222"]`},
		{"AWS::EC2::SecurityGroup", "Builder", "Properties.VpcId", `"vpc-12345678"`},
	}},
	"SubnetSelection": {func(stack awscdk.Stack) props {
		return props{Vpc: newNetwork(stack).vpc, SubnetSelection: &awsec2.SubnetSelection{AvailabilityZones: jsii.Strings("b")}}
	}, []want{
		{projectType, "", "Properties.VpcConfig.Subnets", `["subnet-22222222"]`},
	}},
	"SecurityGroups": {func(stack awscdk.Stack) props {
		network := newNetwork(stack)
		return props{Vpc: network.vpc, SecurityGroups: &[]awsec2.ISecurityGroup{network.group}}
	}, []want{
		{projectType, "", "Properties.VpcConfig.SecurityGroupIds", `["sg-12345678"]`},
	}},
	"Fleet": {func(stack awscdk.Stack) props {
		return props{Fleet: awscodebuild.Fleet_FromFleetArn(stack, jsii.String("Fleet"), jsii.String("arn:aws:codebuild:eu-west-1:123456789012:fleet/ours:1"))}
	}, []want{
		{projectType, "", "Properties.Environment.Fleet.FleetArn", `"arn:aws:codebuild:eu-west-1:123456789012:fleet/ours:1"`},
	}},
	"DockerServerComputeType": {just(props{DockerServerComputeType: awscodebuild.DockerServerComputeType_MEDIUM}), []want{
		{projectType, "", "Properties.Environment.DockerServer.ComputeType", `"BUILD_GENERAL1_MEDIUM"`},
	}},
	"LocalCacheModes": {just(props{LocalCacheModes: &[]awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_DOCKER_LAYER}}), []want{
		{projectType, "", "Properties.Cache", `{"Modes":["LOCAL_DOCKER_LAYER_CACHE"],"Type":"LOCAL"}`},
	}},
	"EncryptionKey": {func(stack awscdk.Stack) props { return props{EncryptionKey: newKey(stack, "Key")} }, []want{
		{projectType, "", "Properties.EncryptionKey", `"` + keyARN + `"`},
		{"", "", "Outputs.EncryptionKeyArn.Value", `"` + keyARN + `"`},
		{bucketType, "", "Properties.BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.KMSMasterKeyID", `"` + keyARN + `"`},
		{bucketType, "", "Properties.BucketEncryption.ServerSideEncryptionConfiguration.0.BucketKeyEnabled", `true`},
	}},
	"LogEncryptionKey": {func(stack awscdk.Stack) props { return props{LogEncryptionKey: newKey(stack, "Key")} }, []want{
		{logGroupType, "", "Properties.KmsKeyId", `"` + keyARN + `"`},
	}},
	"LogBucket": {func(stack awscdk.Stack) props {
		return props{ProjectName: jsii.String("images"), LogBucket: awss3.Bucket_FromBucketArn(stack, jsii.String("Logs"), jsii.String("arn:aws:s3:::logs-of-builds"))}
	}, []want{
		{projectType, "", "Properties.LogsConfig.S3Logs", `{"Location":"arn:aws:s3:::logs-of-builds/images","Status":"ENABLED"}`},
	}},
	"OutputPrefix": {just(props{ProjectName: jsii.String("images"), OutputPrefix: jsii.String("Team")}), []want{
		{"", "", "Outputs.TeamSourcePrefix.Value", `"sources/"`},
	}},
	"ParameterName": {just(props{ParameterName: jsii.String("/team/images")}), []want{
		{"AWS::SSM::Parameter", "", "Properties.Name", `"/team/images"`},
		{"", "", "Outputs.ParameterName.Value", `"/team/images"`},
	}},
	"ImageTagMutability": {just(props{Repositories: jsii.Strings("aa"), ImageTagMutability: awsecr.TagMutability_IMMUTABLE}), []want{
		{repositoryType, "Repositoryaa", "Properties.ImageTagMutability", `"IMMUTABLE"`},
		{repositoryType, "Cache", "Properties.ImageTagMutability", `"MUTABLE"`},
	}},
	"ImageTagMutabilityExclusionFilters": {just(props{
		Repositories:                       jsii.Strings("aa"),
		ImageTagMutability:                 awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION,
		ImageTagMutabilityExclusionFilters: jsii.Strings("latest", "dev-*"),
	}), []want{
		{repositoryType, "Repositoryaa", "Properties.ImageTagMutability", `"IMMUTABLE_WITH_EXCLUSION"`},
		{repositoryType, "Repositoryaa", "Properties.ImageTagMutabilityExclusionFilters.1.ImageTagMutabilityExclusionFilterValue", `"dev-*"`},
	}},
	"ImageScanOnPush": {just(props{Repositories: jsii.Strings("aa"), ImageScanOnPush: jsii.Bool(false)}), []want{
		{repositoryType, "Repositoryaa", "Properties.ImageScanningConfiguration.ScanOnPush", `false`},
	}},
	"UntaggedImageExpiry": {just(props{Repositories: jsii.Strings("aa"), UntaggedImageExpiry: days(14)}), []want{
		{repositoryType, "Repositoryaa", "Properties.LifecyclePolicy.LifecyclePolicyText", compact(untaggedExpiry)},
	}},
	"LifecyclePolicyText": {just(props{Repositories: jsii.Strings("aa"), LifecyclePolicyText: jsii.String(keepTen)}), []want{
		{repositoryType, "Repositoryaa", "Properties.LifecyclePolicy.LifecyclePolicyText", compact(keepTen)},
	}},
	"PullPrincipals": {just(props{Repositories: jsii.Strings("aa"), PullPrincipals: accounts("123456789012")}), []want{
		{repositoryType, "Repositoryaa", "Properties.RepositoryPolicyText.Statement.0.Action.2", `"ecr:BatchGetImage"`},
		{repositoryType, "Repositoryaa", "Properties.RepositoryPolicyText.Statement.0.Principal.AWS",
			`"arn:${AWS::Partition}:iam::123456789012:root"`},
		{repositoryType, "Cache", "Properties.RepositoryPolicyText", `null`},
	}},
	"CreateRepositoriesOnPush": {just(props{
		RepositoryPrefix: jsii.String("team/"), CreateRepositoriesOnPush: jsii.Bool(true), PullPrincipals: accounts("123456789012"),
		ImageTagMutability: awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION, ImageTagMutabilityExclusionFilters: jsii.Strings("latest"),
	}), []want{
		{creationType, "", "Properties.Prefix", `"team"`},
		{creationType, "", "Properties.AppliedFor", `["CREATE_ON_PUSH"]`},
		{creationType, "", "Properties.ImageTagMutability", `"IMMUTABLE_WITH_EXCLUSION"`},
		{creationType, "", "Properties.ImageTagMutabilityExclusionFilters.0.ImageTagMutabilityExclusionFilterValue", `"latest"`},
		{creationType, "", "Properties.CustomRoleArn", `null`},
		{creationType, "", "Properties.RepositoryPolicy.Fn::Join.1.2",
			`":iam::123456789012:root\"}}],\"Version\":\"2012-10-17\"}"`},
		{"AWS::IAM::Policy", "", "Properties.PolicyDocument.Statement.7.Action", `"ecr:CreateRepository"`},
	}},
	"RepositoryRemovalPolicy": {just(props{Repositories: jsii.Strings("aa"), RepositoryRemovalPolicy: awscdk.RemovalPolicy_DESTROY}), []want{
		{repositoryType, "Repositoryaa", "DeletionPolicy", `"Delete"`},
		{repositoryType, "Repositoryaa", "Properties.EmptyOnDelete", `true`},
	}},
	"CacheRepositoryName": {just(props{CacheRepositoryName: jsii.String("layers")}), []want{
		{repositoryType, "Cache", "Properties.RepositoryName", `"layers"`},
	}},
	"CacheExpiry": {just(props{CacheExpiry: days(3)}), []want{
		{repositoryType, "Cache", "Properties.LifecyclePolicy.LifecyclePolicyText",
			compact(cachesExpire(3))},
		{projectType, "", "Properties.Environment.EnvironmentVariables.0", `{"Name":"CACHE_EXPIRY_IN_DAYS","Type":"PLAINTEXT","Value":"3"}`},
	}},
	"SourceExpiry": {just(props{SourceExpiry: days(30)}), []want{
		{bucketType, "", "Properties.LifecycleConfiguration.Rules.0.ExpirationInDays", `30`},
		{"", "", "Outputs.SourceExpiryInDays.Value", `"30"`},
	}},
	"SourceAccessLogBucket": {func(stack awscdk.Stack) props {
		return props{ProjectName: jsii.String("images"), SourceAccessLogBucket: awss3.Bucket_FromBucketName(stack, jsii.String("Logs"), jsii.String("access-logs"))}
	}, []want{
		{bucketType, "", "Properties.LoggingConfiguration", `{"DestinationBucketName":"access-logs","LogFilePrefix":"images/"}`},
	}},
	"SourceType": {just(props{SourceType: jsii.String("NO_SOURCE")}), []want{
		{projectType, "", "Properties.Source.Type", `"NO_SOURCE"`},
		{projectType, "", "Properties.Source.Location", `null`},
	}},
	"SourceLocation": {just(props{SourceType: jsii.String("BITBUCKET"), SourceLocation: jsii.String("https://bitbucket.org/team/app")}), []want{
		{projectType, "", "Properties.Source.Type", `"BITBUCKET"`},
		{projectType, "", "Properties.Source.Location", `"https://bitbucket.org/team/app"`},
	}},
	"BuildImage": {just(props{BuildImage: awscodebuild.LinuxArmBuildImage_AMAZON_LINUX_2023_STANDARD_3_0()}), []want{
		{projectType, "", "Properties.Environment.Type", `"ARM_CONTAINER"`},
		{projectType, "", "Properties.Environment.Image", `"aws/codebuild/amazonlinux-aarch64-standard:3.0"`},
	}},
	"ComputeType": {just(props{ComputeType: awscodebuild.ComputeType_X2_LARGE}), []want{
		{projectType, "", "Properties.Environment.ComputeType", `"BUILD_GENERAL1_2XLARGE"`},
	}},
	"Timeout": {just(props{Timeout: minutes(480)}), []want{
		{projectType, "", "Properties.TimeoutInMinutes", `480`},
	}},
	"QueuedTimeout": {just(props{QueuedTimeout: minutes(5)}), []want{
		{projectType, "", "Properties.QueuedTimeoutInMinutes", `5`},
	}},
	"AutoRetryLimit": {just(props{ProjectName: jsii.String("images"), AutoRetryLimit: jsii.Number(3)}), []want{
		{projectType, "", "Properties.AutoRetryLimit", `3`},
		{rolePolicy, "", "Properties.PolicyDocument.Statement.7",
			`{"Action":"codebuild:RetryBuild","Effect":"Allow","Resource":` + here("codebuild", "project/images") + `}`},
	}},
	"EnvironmentVariables": {just(props{EnvironmentVariables: &map[string]*awscodebuild.BuildEnvironmentVariable{
		"A_PROXY": {Value: "http://proxy.internal:3128"},
	}}), []want{
		{projectType, "", "Properties.Environment.EnvironmentVariables.0", `{"Name":"A_PROXY","Type":"PLAINTEXT","Value":"http://proxy.internal:3128"}`},
	}},
	"SsmSessionPermissions": {just(props{SsmSessionPermissions: jsii.Bool(true)}), []want{
		{rolePolicy, "", "Properties.PolicyDocument.Statement.7.Action.3", `"ssmmessages:OpenDataChannel"`},
	}},
	"StackOutputs": {just(props{ParameterName: jsii.String("/team/images"), StackOutputs: jsii.Bool(false)}), []want{
		{"", "", "Outputs", `null`},
		{"AWS::SSM::Parameter", "", "Properties.Name", `"/team/images"`},
	}},
	"ConcurrentBuildLimit": {just(props{ConcurrentBuildLimit: jsii.Number(3)}), []want{
		{projectType, "", "Properties.ConcurrentBuildLimit", `3`},
	}},
	"LogGroupName": {just(props{LogGroupName: jsii.String("codebuild-flex")}), []want{
		{logGroupType, "", "Properties.LogGroupName", `"codebuild-flex"`},
	}},
	"LogRetention": {just(props{LogRetention: awslogs.RetentionDays_INFINITE}), []want{
		{logGroupType, "", "Properties.RetentionInDays", `null`},
	}},
	"LogRemovalPolicy": {just(props{LogRemovalPolicy: awscdk.RemovalPolicy_RETAIN}), []want{
		{logGroupType, "", "DeletionPolicy", `"Retain"`},
	}},
}

func TestEachProp(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[props]()) {
		if eachProp[field.Name].want == nil {
			t.Errorf("nothing shows what %s changes", field.Name)
		}
	}
	for name, test := range eachProp {
		t.Run(name, func(t *testing.T) { check(t, build(t, test.props), test.want) })
	}
}

func TestRepositoryEncryptionKey(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Repositories:             jsii.Strings("aa"),
			RepositoryPrefix:         jsii.String("team/"),
			CreateRepositoriesOnPush: jsii.Bool(true),
			RepositoryEncryptionKey:  newKey(stack, "Key"),
		})
	})
	for _, resource := range []template{tpl.the(t, repositoryType, "Repositoryaa"), tpl.the(t, creationType, "")} {
		if got := text(resource.at("Properties.EncryptionConfiguration.KmsKey")); got != keyARN {
			t.Errorf("a repository is encrypted with %q, want %q", got, keyARN)
		}
	}
	if tpl.the(t, creationType, "").at("Properties.CustomRoleArn") == nil {
		t.Error("ECR has no role for the key")
	}
}

// here returns the ARN of something of the stack's own account and region, as
// shown writes it in a statement.
func here(service, name string) string {
	return `{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":` + service + `:",{"Ref":"AWS::Region"},":",{"Ref":"AWS::AccountId"},":` + name + `"]]}`
}

// shown returns a value in JSON, with functions written as text does.
func shown(value any) string {
	if function, ok := value.(map[string]any); ok && isFunction(function) {
		return compact(text(value))
	}
	return compact(value)
}

func check(t *testing.T, tpl template, wants []want) {
	t.Helper()
	for _, w := range wants {
		in := tpl
		if w.kind != "" {
			in = tpl.the(t, w.kind, w.id)
		}
		if got := shown(in.at(w.path)); got != w.value {
			t.Errorf("%s %s is %s, want %s", w.kind, w.path, got, w.value)
		}
	}
}

func TestProjectSetsTheVariablesOfTheStack(t *testing.T) {
	want := map[string]string{
		"REGISTRY":             registry,
		"CACHE_REPOSITORY":     "${CacheRepository}",
		"CACHE_EXPIRY_IN_DAYS": "14",
		"MIRRORS":              "docker.io=public.ecr.aws/docker docker.io=mirror.gcr.io",
	}
	if diff := cmp.Diff(want, variables(t, synthesize(t, nil))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A push to a repository that exists nowhere yet is no mistake under these
// names.
func TestBuildsKnowWhereAPushCreatesItsRepository(t *testing.T) {
	for name, test := range map[string]struct {
		props props
		want  string
	}{
		"a prefix":           {props{RepositoryPrefix: jsii.String("team/a/"), CreateRepositoriesOnPush: jsii.Bool(true)}, "team/a/"},
		"the default prefix": {props{ProjectName: jsii.String("images"), CreateRepositoriesOnPush: jsii.Bool(true)}, "images/"},
		"not on push":        {props{RepositoryPrefix: jsii.String("team/a/")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := variables(t, synthesize(t, &test.props))["CREATE_ON_PUSH"]; got != test.want {
				t.Errorf("CREATE_ON_PUSH is %q, want %q", got, test.want)
			}
		})
	}
}
