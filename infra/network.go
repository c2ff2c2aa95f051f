package infra

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// checkSubnets refuses public subnets. CodeBuild gives the network interfaces
// of builds no public address, so builds cannot use an internet gateway.
func (b *imageBuilder) checkSubnets() error {
	if b.props.Vpc == nil {
		return nil
	}
	if selected := b.props.Vpc.SelectSubnets(b.props.SubnetSelection); *selected.HasPublic {
		return problem("SubnetSelection", "%s: some are public, and CodeBuild gives builds no public address, so they would reach nothing: select private subnets with a NAT gateway or VPC endpoints", strings.Join(values(selected.SubnetIds), ", "))
	}
	return nil
}

// networkStatements returns what CodeBuild needs, with the builds' role, to run
// a build in a VPC.
func (b *imageBuilder) networkStatements() []awsiam.PolicyStatement {
	if b.props.Vpc == nil {
		return nil
	}
	var subnets []*string
	for _, id := range *b.props.Vpc.SelectSubnets(b.props.SubnetSelection).SubnetIds {
		// The id alone identifies a subnet. A shared VPC belongs to another
		// account, and CloudFormation cannot put the partition into a list of
		// parameters.
		subnets = append(subnets, jsii.String("arn:*:ec2:*:*:subnet/"+*id))
	}
	return []awsiam.PolicyStatement{
		allow([]*string{jsii.String("*")},
			"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface",
			"ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeDhcpOptions", "ec2:DescribeVpcs"),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   jsii.Strings("ec2:CreateNetworkInterfacePermission"),
			Resources: &[]*string{b.arn("ec2", "network-interface", "*")},
			Conditions: &map[string]any{
				"StringEquals": map[string]any{"ec2:AuthorizedService": codeBuildService},
				"ArnLike":      map[string]any{"ec2:Subnet": subnets},
			},
		}),
	}
}

// dockerServerPort is the port of a Docker server, from CodeBuild's user guide.
const dockerServerPort = 9876

// dockerServerGroups returns a security group for the Docker server in a VPC,
// because builds reach it through the network there.
func (b *imageBuilder) dockerServerGroups() *[]awsec2.ISecurityGroup {
	if b.props.Vpc == nil {
		return nil
	}
	b.dockerServerGroup = awsec2.NewSecurityGroup(b, jsii.String("DockerServerSecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:         b.props.Vpc,
		Description: jsii.String("Docker server of image builds"),
	})
	return &[]awsec2.ISecurityGroup{b.dockerServerGroup}
}
