package infra

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// completeApp checks a builder at synthesis, when nothing more is added to the
// app.
type completeApp struct{ builder *imageBuilder }

// Validate is called by the CDK.
func (v *completeApp) Validate() *[]*string {
	return jsii.Strings(slices.Concat(v.builder.policiesTooLarge(), v.builder.distrust())...)
}

const codeBuildService = "codebuild.amazonaws.com"

// distrust reports a Role that CodeBuild cannot assume. The trust of a role
// that was imported is not known.
func (b *imageBuilder) distrust() []string {
	role, made := b.props.Role.(awsiam.Role)
	if !made || role.AssumeRolePolicy() == nil {
		return nil
	}
	trust, _ := awscdk.Stack_Of(role).Resolve(role.AssumeRolePolicy()).(map[string]any)
	statements, _ := trust["Statement"].([]any)
	if slices.ContainsFunc(statements, trustsCodeBuild) {
		return nil
	}
	return []string{problem("Role", "%s does not trust %s, so no build could begin: give it AssumedBy awsiam.NewServicePrincipal(%q, nil), or let that in beside others with an awsiam.CompositePrincipal",
		*role.Node().Path(), codeBuildService, codeBuildService).Error()}
}

func trustsCodeBuild(statement any) bool {
	allowed, _ := statement.(map[string]any)
	principals, _ := allowed["Principal"].(map[string]any)
	services, many := principals["Service"].([]any)
	if !many {
		services = []any{principals["Service"]}
	}
	return allowed["Effect"] == "Allow" && slices.Contains(services, any(codeBuildService))
}

// withoutCodeBuild are the regions in which CodeBuild has no endpoint and ECR
// has one. They are those of the AWS SDK for Go in November 2026
// (service/codebuild v1.69.0, service/ecr v1.67.5), and a test compares them
// with the SDK in go.mod.
var withoutCodeBuild = []string{"ap-east-2", "ca-west-1", "eu-isoe-west-1", "eusc-de-east-1", "mx-central-1", "us-isob-west-1"}

// warnOfRegion warns of a region without CodeBuild, if it is known before
// deployment. It is no error, because AWS may have added CodeBuild there.
func (b *imageBuilder) warnOfRegion() {
	region := *awscdk.Stack_Of(b).Region()
	if !slices.Contains(withoutCodeBuild, region) {
		return
	}
	awscdk.Annotations_Of(b).AddWarningV2(jsii.String("flexbuild:region"), jsii.String(
		"CodeBuild had no endpoint in "+region+" when this version was made (November 2026), so that the deployment will fail: deploy the stack to another region"))
}
