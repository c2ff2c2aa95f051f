package infra_test

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodecommit"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

// allKinds are the stacks on which the tests check what must hold for every
// template.
var allKinds = map[string]func(awscdk.Stack){
	"no props": func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
	},
	"default props": func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), infra.DefaultProps())
	},
	"grants": func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), infra.DefaultProps())
		caller := newCaller(stack)
		builder.GrantStart(caller, nil)
		builder.GrantPull(caller)
		builder.AddDashboard(jsii.String("Dashboard"))
		builder.AlarmOnFailures(jsii.String("Failures"), 20)
		builder.AlarmOnQueueTime(jsii.String("Queue"), minutes(30))
		builder.AllowBaseImages(awsecr.Repository_FromRepositoryName(stack, jsii.String("Base"), jsii.String("base")))
		builder.AllowSecret(awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil))
	},
	"repositories": func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Repositories:             jsii.Strings("aa"),
			RepositoryPrefix:         jsii.String("flexbuild/"),
			CreateRepositoriesOnPush: jsii.Bool(true),
			PullPrincipals:           &[]awsiam.IPrincipal{awsiam.NewOrganizationPrincipal(jsii.String("o-1234567890"))},
			RepositoryEncryptionKey:  newKey(stack, "Key"),
		})
	},
	"vpc": func(stack awscdk.Stack) {
		network := newNetwork(stack)
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Vpc:                     network.vpc,
			SecurityGroups:          &[]awsec2.ISecurityGroup{network.group},
			DockerServerComputeType: awscodebuild.DockerServerComputeType_SMALL,
			EncryptionKey:           newKey(stack, "Key"),
			LogEncryptionKey:        newKey(stack, "LogKey"),
			LogBucket:               awss3.Bucket_FromBucketName(stack, jsii.String("LogBucket"), jsii.String("logs-of-builds")),
		})
	},
	"everything":     everything,
	"own-stack":      ownStack,
	"permissions":    permissions,
	"teams":          teams,
	"administrators": administrators,
	"rebuilds":       rebuilds,
	"two-builders": func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("One"), nil)
		infra.NewImageBuilder(stack, jsii.String("Two"), &infra.ImageBuilderProps{
			OutputPrefix: jsii.String("Two"), ParameterName: jsii.String("/team/two"),
		})
	},
	"china": func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), infra.DefaultProps())
		builder.GrantStart(newCaller(stack), nil)
	},
	"sources": func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowConnection(jsii.String("arn:aws-cn:codeconnections:cn-north-1:123456789012:connection/1"))
		builder.AllowCodeCommit(awscodecommit.Repository_FromRepositoryName(stack, jsii.String("Code"), jsii.String("code")))
		builder.AllowSourceObjects(awss3.Bucket_FromBucketName(stack, jsii.String("Sources"), jsii.String("our-sources")), jsii.String("zips/"))
	},
	"imported": func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), deployed())
		caller := newCaller(stack)
		builder.GrantStart(caller, nil)
		builder.GrantPull(caller)
		awscdk.NewCfnOutput(stack, jsii.String("BuiltWith"), &awscdk.CfnOutputProps{
			Value: builder.Project().ProjectName(), Description: jsii.String("What others build with"),
		})
	},
}

// everything sets every prop that can be combined with the others. The VPC has
// a kind of its own.
func everything(stack awscdk.Stack) {
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName:                        jsii.String("images"),
		PermissionsBoundary:                awsiam.ManagedPolicy_FromManagedPolicyName(stack, jsii.String("Boundary"), jsii.String("boundary")),
		Repositories:                       jsii.Strings("app", "flexbuild/web"),
		ExistingRepositories:               &[]awsecr.IRepository{awsecr.Repository_FromRepositoryName(stack, jsii.String("Theirs"), jsii.String("theirs"))},
		RepositoryPrefix:                   jsii.String("flexbuild/"),
		ImageTagMutability:                 awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION,
		ImageTagMutabilityExclusionFilters: jsii.Strings("latest", "dev-*"),
		ImageScanOnPush:                    jsii.Bool(true),
		UntaggedImageExpiry:                days(30),
		DockerHubMirrors:                   jsii.Strings("public.ecr.aws/docker"),
		RepositoryEncryptionKey:            newKey(stack, "RepositoryKey"),
		PullPrincipals:                     accounts("210987654321"),
		CreateRepositoriesOnPush:           jsii.Bool(true),
		CacheRepositoryName:                jsii.String("layers"),
		CacheExpiry:                        days(7),
		DockerHubCredentials:               awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("DockerHub"), jsii.String("ecr-pullthroughcache/docker-hub")),
		BaseImageUpstreams:                 &[]*infra.BaseImageUpstream{{Registry: jsii.String("quay.io")}},
		SourceExpiry:                       days(2),
		SourceAccessLogBucket:              awss3.Bucket_FromBucketName(stack, jsii.String("AccessLogs"), jsii.String("access-logs")),
		SourceType:                         jsii.String("GITLAB"),
		SourceLocation:                     jsii.String("https://gitlab.com/team/app"),
		SourceConnectionArn:                jsii.String("arn:aws-cn:codeconnections:cn-north-1:123456789012:connection/1"),
		BuildImage:                         awscodebuild.LinuxBuildImage_AMAZON_LINUX_2023_5(),
		ComputeType:                        awscodebuild.ComputeType_LARGE,
		Timeout:                            minutes(120),
		QueuedTimeout:                      minutes(60),
		ConcurrentBuildLimit:               jsii.Number(20),
		DockerServerComputeType:            awscodebuild.DockerServerComputeType_SMALL,
		LocalCacheModes:                    &[]awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_SOURCE},
		EncryptionKey:                      newKey(stack, "Key"),
		LogEncryptionKey:                   newKey(stack, "LogKey"),
		LogBucket:                          awss3.Bucket_FromBucketName(stack, jsii.String("LogBucket"), jsii.String("logs-of-builds")),
		LogGroupName:                       jsii.String("images"),
		LogRetention:                       awslogs.RetentionDays_THREE_MONTHS,
		LogRemovalPolicy:                   awscdk.RemovalPolicy_RETAIN,
		OutputPrefix:                       jsii.String("Images"),
		ParameterName:                      jsii.String("/team/images"),
	})
	builder.AddDashboard(jsii.String("Dashboard"))
	builder.AlarmOnFailures(jsii.String("Failures"), 20)
	builder.AlarmOnQueueTime(jsii.String("Queue"), minutes(30))
	builder.OnBuildStateChange(jsii.String("Changed"), nil)
	caller := newCaller(stack)
	builder.GrantStart(caller, nil)
	builder.GrantPull(caller)
}

// ownStack is a user's stack that has other resources besides the builder.
func ownStack(stack awscdk.Stack) {
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		Repositories: jsii.Strings("team/api"),
		Role: awsiam.NewRole(stack, jsii.String("Given"), &awsiam.RoleProps{
			AssumedBy: awsiam.NewServicePrincipal(jsii.String("codebuild.amazonaws.com"), nil),
		}),
		OutputPrefix: jsii.String("Images"),
	})
	builder.OnBuildFailed(jsii.String("Failed"), nil)
	caller := newCaller(stack)
	builder.GrantStart(caller, nil)
	awscdk.NewCfnOutput(stack, jsii.String("CallerArn"), &awscdk.CfnOutputProps{
		Value: caller.RoleArn(), Description: jsii.String("The role that starts builds"),
	})
	awssns.NewTopic(stack, jsii.String("Topic"), &awssns.TopicProps{EnforceSSL: jsii.Bool(true)})
}

// teams is a stack with a caller whose builds have limits.
func teams(stack awscdk.Stack) {
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName: jsii.String("images"), Repositories: jsii.Strings("team/api"), OutputPrefix: jsii.String("Images"),
	})
	team := awsiam.NewRole(stack, jsii.String("TeamCaller"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	builder.GrantStart(team, teamLimits)
	awscdk.NewCfnOutput(stack, jsii.String("TeamCallerArn"), &awscdk.CfnOutputProps{
		Value: team.RoleArn(), Description: jsii.String("The role that starts a team's builds"),
	})
}

// administrators is a builder for those who look after it: found by its
// parameter only, with settings of their own, sessions and retries.
func administrators(stack awscdk.Stack) {
	infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName:      jsii.String("images"),
		RepositoryPrefix: jsii.String("flexbuild/"),
		ParameterName:    jsii.String("/team/images"),
		StackOutputs:     jsii.Bool(false),
		EnvironmentVariables: &map[string]*awscodebuild.BuildEnvironmentVariable{
			"HTTPS_PROXY":       {Value: "http://proxy.internal:3128"},
			"NPM_REGISTRY":      {Value: "/team/registry", Type: awscodebuild.BuildEnvironmentVariableType_PARAMETER_STORE},
			"TELEMETRY_API_KEY": {Value: "team/telemetry:key", Type: awscodebuild.BuildEnvironmentVariableType_SECRETS_MANAGER},
		},
		AutoRetryLimit:        jsii.Number(2),
		SsmSessionPermissions: jsii.Bool(true),
	})
}

// rebuilds is a builder that builds an image each night, and one for ARM each
// week.
func rebuilds(stack awscdk.Stack) {
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName: jsii.String("images"), Repositories: jsii.Strings("team/api"),
	})
	builder.RebuildOn(jsii.String("Nightly"), nightly(), rebuild())
	arm := rebuild()
	arm.Tags, arm.Platforms = []string{"team/api:arm"}, []string{"linux/arm64"}
	builder.RebuildOn(jsii.String("Weekly"), awsscheduler.ScheduleExpression_Rate(days(7)), arm)
}

// engineConnection is a connection in the local engine's account and region.
const engineConnection = "arn:aws:codeconnections:us-east-1:000000000000:connection/1"

// permissions is a stack whose permissions the local engine can try, each of
// them: with those who start, watch and pull, and a team with all limits.
func permissions(stack awscdk.Stack) {
	key := func(number string) awskms.IKey {
		return awskms.Key_FromKeyArn(stack, jsii.String("Key"+number), stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("kms"), Resource: jsii.String("key"), ResourceName: jsii.String("00000000-0000-0000-0000-00000000000" + number),
		}))
	}
	network := newNetwork(stack)
	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
		ProjectName: jsii.String("images"), ParameterName: jsii.String("/images"),
		Repositories: jsii.Strings("app", "team/api"), RepositoryPrefix: jsii.String("flexbuild/"), CreateRepositoriesOnPush: jsii.Bool(true),
		EncryptionKey: key("1"),
		SourceType:    jsii.String("GITHUB_ENTERPRISE"), SourceLocation: jsii.String("https://github.invalid/acme/app.git"),
		SourceConnectionArn: jsii.String(engineConnection),
		BaseImageUpstreams:  &[]*infra.BaseImageUpstream{{Registry: jsii.String("quay.io")}},
		AutoRetryLimit:      jsii.Number(1),
		Vpc:                 network.vpc, SecurityGroups: &[]awsec2.ISecurityGroup{network.group},
	})
	builder.AllowSecret(awssecretsmanager.Secret_FromSecretAttributes(stack, jsii.String("Secret"), &awssecretsmanager.SecretAttributes{
		SecretPartialArn: stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("secretsmanager"), Resource: jsii.String("secret"), ResourceName: jsii.String("npm"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
		}),
		EncryptionKey: key("2"),
	}))
	builder.AllowParameter(awsssm.StringParameter_FromSecureStringParameterAttributes(stack, jsii.String("Parameter"), &awsssm.SecureStringParameterAttributes{ParameterName: jsii.String("/team/key")}), key("3"))
	builder.AllowBaseImages(awsecr.Repository_FromRepositoryName(stack, jsii.String("Base"), jsii.String("base")))
	builder.AllowSourceObjects(awss3.Bucket_FromBucketAttributes(stack, jsii.String("Sources"), &awss3.BucketAttributes{
		BucketName: jsii.String("our-sources"), EncryptionKey: key("4"),
	}), jsii.String("zips/"))
	for id, grant := range map[string]func(awsiam.IGrantable){
		"Caller":     func(role awsiam.IGrantable) { builder.GrantStart(role, nil) },
		"Puller":     func(role awsiam.IGrantable) { builder.GrantPull(role) },
		"TeamCaller": func(role awsiam.IGrantable) { builder.GrantStart(role, teamLimits) },
		"Uploader": func(role awsiam.IGrantable) {
			builder.GrantStart(role, &infra.StartLimits{Team: jsii.String("team-b")})
		},
	} {
		role := awsiam.NewRole(stack, jsii.String(id), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
		grant(role)
		awscdk.NewCfnOutput(stack, jsii.String(id+"Arn"), &awscdk.CfnOutputProps{Value: role.RoleArn(), Description: jsii.String("A role of that grant")})
	}
}

var teamLimits = &infra.StartLimits{
	Repositories:   jsii.Strings("team/*"),
	Sources:        jsii.Strings("https://github.com/acme/*"),
	Team:           jsii.String("team-a"),
	MaxComputeType: awscodebuild.ComputeType_MEDIUM,
}

// accounts returns the principals of other accounts.
func accounts(ids ...string) *[]awsiam.IPrincipal {
	var all []awsiam.IPrincipal
	for _, id := range ids {
		all = append(all, awsiam.NewAccountPrincipal(id))
	}
	return &all
}

// network is a VPC that is not part of the stack.
type network struct {
	vpc   awsec2.IVpc
	group awsec2.ISecurityGroup
}

func newNetwork(stack awscdk.Stack) network {
	return network{
		vpc: awsec2.Vpc_FromVpcAttributes(stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
			VpcId:             jsii.String("vpc-12345678"),
			AvailabilityZones: jsii.Strings("a", "b"),
			PrivateSubnetIds:  jsii.Strings("subnet-11111111", "subnet-22222222"),
		}),
		group: awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("Group"), jsii.String("sg-12345678"), nil),
	}
}

// newCaller adds a role for a program that starts builds.
func newCaller(stack awscdk.Stack) awsiam.Role {
	return awsiam.NewRole(stack, jsii.String("Caller"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewAccountRootPrincipal(),
	})
}

// newKey returns a key of another stack, because the tests do not look at a
// key's own policy.
func newKey(stack awscdk.Stack, id string) awskms.IKey {
	return awskms.Key_FromKeyArn(stack, jsii.String(id), stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("kms"), Resource: jsii.String("key"), ResourceName: jsii.String("00000000-1111-2222-3333-444444444444"),
	}))
}

const keyARN = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/00000000-1111-2222-3333-444444444444"
