package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// This file has what CodeBuild does as the build's role with services that the
// engine does not have. The role needs the permissions for it, and nothing else
// happens.

// authorize returns an error unless the build's role has all permissions.
func (b *build) authorize(ctx context.Context, needs ...iam.Permission) error {
	session, err := b.role.session()
	if err != nil {
		return err
	}
	return b.IAM.Authorize(iam.WithPrincipal(ctx, session.Principal), needs...)
}

// vpc returns the project's VPC, or nil.
func (b *build) vpc() *types.VpcConfig {
	if config := b.document.VpcConfig; config != nil && aws.ToString(config.VpcId) != "" {
		return config
	}
	return nil
}

// joinNetwork returns an error unless the role may do what CodeBuild does to
// put a network interface into the project's VPC, in each of its subnets: it is
// not known which of them AWS takes. Source of the actions and keys: "Allow
// CodeBuild access to AWS services required to create a VPC network interface"
// of the user guide.
func (b *build) joinNetwork(ctx context.Context) error {
	vpc := b.vpc()
	if vpc == nil {
		return nil
	}
	var needs []iam.Permission
	for _, list := range []string{"Vpcs", "Subnets", "SecurityGroups", "DhcpOptions", "NetworkInterfaces"} {
		needs = append(needs, iam.Permission{Action: "ec2:Describe" + list, Resource: "*"})
	}
	_, uuid, _ := strings.Cut(*b.document.Id, ":")
	eni := b.ec2("network-interface", "eni-"+strings.ReplaceAll(uuid, "-", "")[:17])
	for _, group := range vpc.SecurityGroupIds {
		needs = append(needs, iam.Permission{Action: "ec2:CreateNetworkInterface", Resource: b.ec2("security-group", group)})
	}
	needs = append(needs, iam.Permission{Action: "ec2:CreateNetworkInterface", Resource: eni})
	for _, subnet := range vpc.Subnets {
		needs = append(needs,
			iam.Permission{Action: "ec2:CreateNetworkInterface", Resource: b.ec2("subnet", subnet)},
			iam.Permission{Action: "ec2:CreateNetworkInterfacePermission", Resource: eni, Keys: iam.Keys{
				"ec2:AuthorizedService": {iam.CodeBuild}, "ec2:Subnet": {b.ec2("subnet", subnet)},
			}})
	}
	needs = append(needs, iam.Permission{Action: "ec2:DeleteNetworkInterface", Resource: eni})
	if err := b.authorize(ctx, needs...); err != nil {
		return &phaseError{"VPC_CLIENT_ERROR", "Unexpected EC2 error: UnauthorizedOperation. Error message: " + answered(err)}
	}
	return nil
}

func (b *build) ec2(kind, id string) string {
	return fmt.Sprintf("arn:aws:ec2:%s:%s:%s/%s", b.AWS.Region, iam.AccountID, kind, id)
}

// outside says that the build is not in its project's VPC.
func (b *build) outside() string {
	if vpc := b.vpc(); vpc != nil {
		return " with this machine's network, and not in " + *vpc.VpcId
	}
	return ""
}

// connect returns an error unless the role may use the source's connection.
// The prefix of the actions is that of the ARN, because IAM has both names of
// the service. The engine clones as anybody: it has no connections.
func (in *input) connect(ctx context.Context) error {
	auth := in.source.Auth
	if auth == nil {
		return nil
	}
	connection := aws.ToString(auth.Resource)
	service := strings.Split(connection, ":")[2]
	var needs []iam.Permission
	for _, action := range []string{"GetConnection", "GetConnectionToken", "UseConnection"} {
		needs = append(needs, iam.Permission{Action: service + ":" + action, Resource: connection})
	}
	if err := in.authorize(ctx, needs...); err != nil {
		return clientError(fmt.Sprintf("Access denied to connection %s: %s", connection, answered(err)))
	}
	return nil
}
