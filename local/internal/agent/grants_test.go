package agent

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

const connection = "arn:aws:codestar-connections:us-east-1:000000000000:connection/1"

// A role that may not do what CodeBuild needs in a VPC, or with a connection,
// fails the build as on AWS.
func TestRolesNeedThePermissionsOfVPCsAndConnections(t *testing.T) {
	b := newBench(t)
	update := func(in *sdk.UpdateProjectInput) {
		t.Helper()
		in.Name = aws.String("demo")
		_, err := b.UpdateProject(t.Context(), in)
		must(t, err)
	}
	fails := func(want string, edits ...edit) {
		t.Helper()
		if r := b.run(t, edits...); !strings.HasPrefix(r.context(), want) {
			t.Errorf("the build fails with %q, want %q", r.context(), want)
		}
	}
	const logs = `{"Effect":"Allow","Action":"logs:*","Resource":"*"}`
	b.role(t, trust, `{"Statement":[`+logs+`]}`)
	update(&sdk.UpdateProjectInput{VpcConfig: &types.VpcConfig{VpcId: aws.String("vpc-1"), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}})
	fails("VPC_CLIENT_ERROR: Unexpected EC2 error: UnauthorizedOperation.")
	b.role(t, trust, `{"Statement":[`+logs+`,{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}`)
	b.run(t).want(t, types.StatusTypeSucceeded)

	git := source(types.SourceTypeGithubEnterprise, "https://127.0.0.1:1/org/repo.git")
	update(&sdk.UpdateProjectInput{Source: &types.ProjectSource{
		Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2\nphases: {}"),
		Auth: &types.SourceAuth{Type: types.SourceAuthTypeCodeconnections, Resource: aws.String(connection)},
	}})
	fails("CLIENT_ERROR: Access denied to connection "+connection+": AccessDenied", git)
	b.role(t, trust, `{"Statement":[`+logs+`,{"Effect":"Allow","Action":["ec2:*","codestar-connections:*"],"Resource":"*"}]}`)
	fails("CLIENT_ERROR: repository not reachable", git)
}
