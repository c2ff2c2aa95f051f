package infra_test

import (
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

// allKinds are the stacks that what must hold for every template is tested on.
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
		builder.GrantStart(caller)
		builder.GrantPull(caller)
		builder.AddDashboard(jsii.String("Dashboard"))
		builder.AlarmOnFailures(jsii.String("Failures"), 20)
		builder.AlarmOnQueueTime(jsii.String("Queue"), 30)
		builder.AllowBaseImages(awsecr.Repository_FromRepositoryName(stack, jsii.String("Base"), jsii.String("base")))
		builder.AllowSecret(awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil))
	},
	"repositories": func(stack awscdk.Stack) {
		infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
			Repositories:             jsii.Strings("aa"),
			RepositoryPrefix:         jsii.String("flexbuild/"),
			CreateRepositoriesOnPush: jsii.Bool(true),
			PullAccounts:             jsii.Strings("123456789012"),
			RepositoryEncryptionKey:  newKey(stack, "Key"),
		})
	},
	"machine": func(stack awscdk.Stack) {
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
	"sources": func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowConnection(jsii.String("arn:aws-cn:codeconnections:cn-north-1:123456789012:connection/1"))
		builder.AllowCodeCommit(awscodecommit.Repository_FromRepositoryName(stack, jsii.String("Code"), jsii.String("code")))
		builder.AllowSourceObjects(awss3.Bucket_FromBucketName(stack, jsii.String("Sources"), jsii.String("our-sources")), jsii.String("zips/"))
	},
	"imported": func(stack awscdk.Stack) {
		builder := infra.FromAttributes(stack, jsii.String("Builder"), deployed())
		caller := newCaller(stack)
		builder.GrantStart(caller)
		builder.GrantPull(caller)
		awscdk.NewCfnOutput(stack, jsii.String("BuiltWith"), &awscdk.CfnOutputProps{
			Value: builder.Project().ProjectName(), Description: jsii.String("What others build with"),
		})
	},
}

// network is a VPC that somebody else made.
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

// newCaller adds a role that something which starts builds could have.
func newCaller(stack awscdk.Stack) awsiam.Role {
	return awsiam.NewRole(stack, jsii.String("Caller"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewAccountRootPrincipal(),
	})
}

// newKey is a key of somebody else's, for its own policy is none of ours.
func newKey(stack awscdk.Stack, id string) awskms.IKey {
	return awskms.Key_FromKeyArn(stack, jsii.String(id), stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("kms"), Resource: jsii.String("key"), ResourceName: jsii.String("00000000-1111-2222-3333-444444444444"),
	}))
}

const keyARN = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/00000000-1111-2222-3333-444444444444"
