package infra_test

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// The construct takes no CloudFormation parameters. Its names derive from each
// other, and it checks them before anything is deployed, so that a token is of
// no use to it. What template.json has of parameters is made here instead: the
// construct is synthesized with sample values, once for each combination of the
// choices that change its structure. The results are merged with Fn::If, and
// then the samples are replaced with what refers to the parameters.

// cfn is an object of a template.
type cfn = map[string]any

// The samples. None of them may be part of anything else in a template.
const (
	sampleProject    = "zz-project"
	sampleRepository = "zz-repository"
	samplePrefix     = "zz-prefix/"
	sampleSecret     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/zz-hub-AbCdEf"
	sampleBoundary   = "arn:aws:iam::123456789012:policy/zz-boundary"
	sampleVpc        = "vpc-0123456789abcdef0"
	sampleSubnet     = "subnet-0123456789abcdef0"
	sampleGroup      = "sg-0123456789abcdef0"

	sampleUntagged    = 31013
	sampleCacheDays   = 31019
	sampleSourceDays  = 31033
	sampleTimeout     = 443
	sampleQueued      = 449
	sampleConcurrency = 9973
	sampleRetention   = 3653 // that of awslogs.RetentionDays_TEN_YEARS
)

// samples has what takes the place of each sample, the longer ones first if one
// is part of another.
var samples = []struct {
	text string
	by   any
}{
	{sampleSecret, ref("DockerHubSecretArn")},
	{sampleBoundary, choose("HasPermissionsBoundary", ref("PermissionsBoundaryArn"), noValue)},
	{sampleVpc, ref("VpcId")},
	{sampleProject, ref("ProjectName")},
	{sampleRepository, choose("HasRepositoryName", ref("RepositoryName"), choose("IsProjectFlexbuild", "app", join(ref("ProjectName"), "/app")))},
	{samplePrefix, choose("HasRepositoryPrefix", ref("RepositoryPrefix"), join(ref("ProjectName"), "/"))},
	// Without its slash. Fn::Split cannot cut at the end of a text, so it is
	// marked.
	{"zz-prefix", choose("HasRepositoryPrefix", cfn{"Fn::Select": []any{0, split("/|", join(ref("RepositoryPrefix"), "|"))}}, ref("ProjectName"))},
	{"31013", ref("UntaggedImageExpiryInDays")},
	{"31019", ref("CacheExpiryInDays")},
	{"31033", ref("SourceExpiryInDays")},
}

// sampleWords have what takes the place of texts that are no part of another.
var sampleWords = map[string]any{
	string(awsecr.TagMutability_IMMUTABLE): ref("ImageTagMutability"),
	"BUILD_GENERAL1_2XLARGE":               ref("ComputeType"),
}

// sampleNumbers have what takes the place of numbers that are no part of a
// text.
var sampleNumbers = map[float64]any{
	sampleSourceDays:  ref("SourceExpiryInDays"),
	sampleTimeout:     ref("TimeoutInMinutes"),
	sampleQueued:      ref("QueuedTimeoutInMinutes"),
	sampleConcurrency: choose("HasConcurrentBuildLimit", ref("ConcurrentBuildLimit"), noValue),
	sampleRetention:   choose("HasLogRetention", ref("LogRetentionInDays"), noValue),
}

// sampleLists have what takes the place of a list whose only member ends in the
// sample, member by member.
var sampleLists = map[string]any{sampleSubnet: ref("SubnetIds"), sampleGroup: ref("SecurityGroupIds")}

// A variant is a combination of choices, by their conditions.
type variant map[string]bool

// choices are the conditions on which the structure depends. Each combination
// of them is synthesized.
var choices = []string{"HasUntaggedImageExpiry", "CreatesRepositoriesOnPush", "HasDockerHubSecret", "HasVpc", "HasSecurityGroups"}

// sampled returns the builder of a variant, in a stack of its own.
func (v variant) sampled(stack awscdk.Stack) *infra.ImageBuilderProps {
	props := infra.DefaultProps()
	props.ProjectName = jsii.String(sampleProject)
	props.Repositories = jsii.Strings(sampleRepository)
	props.RepositoryPrefix = jsii.String(samplePrefix)
	props.CreateRepositoriesOnPush = jsii.Bool(v["CreatesRepositoriesOnPush"])
	props.ImageTagMutability = awsecr.TagMutability_IMMUTABLE
	props.CacheExpiry = days(sampleCacheDays)
	props.SourceExpiry = days(sampleSourceDays)
	props.ComputeType = awscodebuild.ComputeType_X2_LARGE
	props.Timeout = minutes(sampleTimeout)
	props.QueuedTimeout = minutes(sampleQueued)
	props.ConcurrentBuildLimit = jsii.Number(sampleConcurrency)
	props.LogRetention = awslogs.RetentionDays_TEN_YEARS
	props.PermissionsBoundary = boundary(stack, sampleBoundary)
	if v["HasUntaggedImageExpiry"] {
		props.UntaggedImageExpiry = days(sampleUntagged)
	}
	if v["HasDockerHubSecret"] {
		props.DockerHubCredentials = hubCredentials(stack, sampleSecret)
	}
	if v["HasVpc"] {
		props.Vpc = networkOf(stack, sampleVpc, sampleSubnet)
	}
	if v["HasVpc"] && v["HasSecurityGroups"] {
		props.SecurityGroups = groupsOf(stack, sampleGroup)
	}
	return props
}

// What exists elsewhere, by the values that a parameter gives.

func boundary(stack awscdk.Stack, arn string) awsiam.IManagedPolicy {
	return awsiam.ManagedPolicy_FromManagedPolicyArn(stack, jsii.String("Boundary"), jsii.String(arn))
}

func hubCredentials(stack awscdk.Stack, arn string) awssecretsmanager.ISecret {
	return awssecretsmanager.Secret_FromSecretCompleteArn(stack, jsii.String("Hub"), jsii.String(arn))
}

func networkOf(stack awscdk.Stack, vpc string, subnets ...string) awsec2.IVpc {
	zones := make([]string, len(subnets))
	for i := range zones {
		zones[i] = "zone" + string(rune('a'+i))
	}
	return awsec2.Vpc_FromVpcAttributes(stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
		VpcId: jsii.String(vpc), AvailabilityZones: jsii.Strings(zones...), PrivateSubnetIds: jsii.Strings(subnets...),
	})
}

func groupsOf(stack awscdk.Stack, ids ...string) *[]awsec2.ISecurityGroup {
	var list []awsec2.ISecurityGroup
	for _, id := range ids {
		list = append(list, awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String(id), jsii.String(id), &awsec2.SecurityGroupImportOptions{Mutable: jsii.Bool(false)}))
	}
	return &list
}

// Patterns of values. Project names are those that need no change to be part of
// a repository's name. AWS reads them as Java does, and the local engine as Go
// does.
const (
	namePattern = `[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*`
	nameWords   = "lower-case letters and digits, with single . _ - between them, in parts separated by /"
)

// A declaration is an entry of Parameters; the fields have the order in which
// they are written.
type declaration struct {
	Description           string
	Type                  string
	Default               any
	AllowedValues         []any  `json:",omitempty"`
	AllowedPattern        string `json:",omitempty"`
	MinValue              any    `json:",omitempty"`
	MaxValue              any    `json:",omitempty"`
	MaxLength             any    `json:",omitempty"`
	ConstraintDescription string `json:",omitempty"`
}

func number(description string, value, least, most int) declaration {
	return declaration{Type: "Number", Default: value, MinValue: least, MaxValue: most, Description: description}
}

// optional returns a text that may be empty, which is the default.
func optional(description, pattern, words string) declaration {
	return declaration{Type: "String", Default: "", AllowedPattern: "^(" + pattern + ")?$", ConstraintDescription: "must be " + words, Description: description}
}

func oneOf(description, kind string, value any, values ...any) declaration {
	return declaration{Type: kind, Default: value, AllowedValues: values, Description: description}
}

// declarations are the parameters, whose defaults make the default stack.
var declarations = map[string]declaration{
	"ProjectName": {
		Type: "String", Default: "flexbuild", MaxLength: 19, AllowedPattern: "^[a-z0-9]+(-[a-z0-9]+)*$",
		ConstraintDescription: "must be at most 19 lower-case letters and digits, with single - between them",
		Description:           "CodeBuild project, and first part of other names",
	},
	"RepositoryName": optional("Repository to create; default app, or PROJECT/app if the project is not flexbuild",
		namePattern, nameWords),
	"RepositoryPrefix": optional("Builds may push to repositories that begin with this; default PROJECT/",
		namePattern+"/", nameWords+", and a / at its end"),
	"CreateRepositoriesOnPush":  oneOf("A push creates its repository under the prefix", "String", "false", "true", "false"),
	"ImageTagMutability":        oneOf("IMMUTABLE: tags cannot be moved", "String", "MUTABLE", "MUTABLE", "IMMUTABLE"),
	"UntaggedImageExpiryInDays": number("Images that no tag names go after so many days; 0 keeps them", 0, 0, 36500),
	"CacheExpiryInDays":         number("Caches go after so many days", 14, 1, 36500),
	"SourceExpiryInDays":        number("Uploaded directories go after so many days", 7, 1, 36500),
	"ComputeType": oneOf("Size of the machine", "String", "BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM",
		"BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"),
	"TimeoutInMinutes":       number("Longest build", 60, 5, 2160),
	"QueuedTimeoutInMinutes": number("Longest wait for a machine", 480, 5, 480),
	"ConcurrentBuildLimit":   number("Builds at once; 0 sets no limit", 0, 0, 10000),
	"DockerHubSecretArn": optional("Secret with username and accessToken of Docker Hub, for a pull-through cache",
		`arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:ecr-pullthroughcache/[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}`,
		"the whole ARN of a secret whose name begins with ecr-pullthroughcache/"),
	"VpcId":            optional("VPC for builds", "vpc-[0-9a-f]+", "vpc-ID"),
	"SubnetIds":        optional("Its private subnets, separated by commas", "subnet-[0-9a-f]+(,subnet-[0-9a-f]+)*", "subnet-ID,subnet-ID"),
	"SecurityGroupIds": optional("Up to 5 security groups for builds in it; default a new one", "sg-[0-9a-f]+(,sg-[0-9a-f]+){0,4}", "1 to 5 of sg-ID, separated by commas"),
	"LogRetentionInDays": oneOf("Logs go after so many days; 0 keeps them", "Number", 30, 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827,
		2192, 2557, 2922, 3288, 3653),
	"PermissionsBoundaryArn": optional("Managed policy that bounds the builds' role", `arn:[a-z-]+:iam::([0-9]{12}|aws):policy/\S+`, "the ARN of a managed policy"),
}

// conditionsOfParameters are those that parameters decide. mergeTemplates adds
// combinations of them.
var conditionsOfParameters = cfn{
	"IsProjectFlexbuild":        equal("ProjectName", "flexbuild"),
	"HasRepositoryName":         unequal("RepositoryName", ""),
	"HasRepositoryPrefix":       unequal("RepositoryPrefix", ""),
	"CreatesRepositoriesOnPush": equal("CreateRepositoriesOnPush", "true"),
	"HasUntaggedImageExpiry":    unequal("UntaggedImageExpiryInDays", "0"),
	"HasConcurrentBuildLimit":   unequal("ConcurrentBuildLimit", "0"),
	"HasDockerHubSecret":        unequal("DockerHubSecretArn", ""),
	"HasVpc":                    unequal("VpcId", ""),
	"HasSecurityGroups":         unequal("SecurityGroupIds", ""),
	"HasLogRetention":           unequal("LogRetentionInDays", "0"),
	"HasPermissionsBoundary":    unequal("PermissionsBoundaryArn", ""),
}

// parameterGroups are the parameters as the console shows them.
var parameterGroups = []any{
	cfn{"Label": cfn{"default": "Names"}, "Parameters": []any{"ProjectName", "RepositoryName", "RepositoryPrefix", "CreateRepositoriesOnPush"}},
	cfn{"Label": cfn{"default": "Builds"}, "Parameters": []any{"ComputeType", "TimeoutInMinutes", "QueuedTimeoutInMinutes", "ConcurrentBuildLimit", "DockerHubSecretArn"}},
	cfn{"Label": cfn{"default": "What is kept"}, "Parameters": []any{"ImageTagMutability", "UntaggedImageExpiryInDays", "CacheExpiryInDays", "SourceExpiryInDays", "LogRetentionInDays"}},
	cfn{"Label": cfn{"default": "Network and permissions"}, "Parameters": []any{"VpcId", "SubnetIds", "SecurityGroupIds", "PermissionsBoundaryArn"}},
}

// rules refuse values that do not go together.
var rules = cfn{
	"VpcNeedsSubnets":       needs("VpcId", "SubnetIds", "VpcId is given without SubnetIds: give the private subnets of the VPC"),
	"SubnetsNeedVpc":        needs("SubnetIds", "VpcId", "SubnetIds are given without VpcId: give the VPC that has them"),
	"SecurityGroupsNeedVpc": needs("SecurityGroupIds", "VpcId", "SecurityGroupIds are given without VpcId: give the VPC that has them"),
}

func needs(given, needed, otherwise string) cfn {
	return cfn{
		"RuleCondition": unequal(given, ""),
		"Assertions":    []any{cfn{"Assert": unequal(needed, ""), "AssertDescription": otherwise}},
	}
}

// Intrinsic functions.

var noValue = ref("AWS::NoValue")

func ref(name string) cfn                      { return cfn{"Ref": name} }
func choose(condition string, yes, no any) cfn { return cfn{"Fn::If": []any{condition, yes, no}} }
func join(parts ...any) cfn                    { return cfn{"Fn::Join": []any{"", parts}} }
func split(at string, text any) cfn            { return cfn{"Fn::Split": []any{at, text}} }
func equal(parameter, value string) cfn        { return cfn{"Fn::Equals": []any{ref(parameter), value}} }
func unequal(parameter, value string) cfn      { return not(equal(parameter, value)) }
func not(condition any) cfn                    { return cfn{"Fn::Not": []any{condition}} }
func both(one, other any) cfn                  { return cfn{"Fn::And": []any{one, other}} }
func named(condition string) cfn               { return cfn{"Condition": condition} }
