package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// networkStatements are what CodeBuild does, with the build's role, to put a
// build into a VPC.
func (b *imageBuilder) networkStatements() []awsiam.PolicyStatement {
	if b.props.Vpc == nil {
		return nil
	}
	var subnets []*string
	for _, id := range *b.props.Vpc.SelectSubnets(b.props.SubnetSelection).SubnetIds {
		subnets = append(subnets, b.arn("ec2", "subnet", *id))
	}
	return []awsiam.PolicyStatement{
		allow([]*string{jsii.String("*")},
			"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface",
			"ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeDhcpOptions", "ec2:DescribeVpcs"),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   jsii.Strings("ec2:CreateNetworkInterfacePermission"),
			Resources: &[]*string{b.arn("ec2", "network-interface", "*")},
			Conditions: &map[string]any{
				"StringEquals": map[string]any{"ec2:AuthorizedService": "codebuild.amazonaws.com"},
				"ArnEquals":    map[string]any{"ec2:Subnet": subnets},
			},
		}),
	}
}
