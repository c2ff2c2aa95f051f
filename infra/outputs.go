package infra

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// addOutputs publishes everything that a client needs.
func (b *imageBuilder) addOutputs() {
	b.outputs = map[string]any{}
	b.output(buildspec.OutputContractVersion, jsii.String(buildspec.Version), "Version of flexbuild's contract")
	b.output(buildspec.OutputProjectName, b.project.ProjectName(), "CodeBuild project that builds images")
	b.output(buildspec.OutputLogGroupName, b.logGroup.LogGroupName(), "Log group of its builds")
	b.output(buildspec.OutputSourceBucketName, b.sourceBucket.BucketName(), "Bucket for directories to build")
	b.output(buildspec.OutputSourcePrefix, jsii.String(sourcePrefix), "Key prefix in that bucket")
	b.output(buildspec.OutputSourceExpiryInDays, wholeNumber(days.in(b.props.SourceExpiry)), "Days after which an upload is deleted")
	b.output(buildspec.OutputRegistry, b.registry(), "Registry that images are pushed to")
	b.output(buildspec.OutputCacheRepositoryName, b.cacheRepository.RepositoryName(), "Repository of build caches")
	b.output(buildspec.OutputBuildRoleARN, b.role.RoleArn(), "Role of its builds")
	b.output(buildspec.OutputArmImage, b.props.ArmImage, "Image that builds for ARM run in")
	b.output(buildspec.OutputRepositoryNames, jsii.String(strings.Join(b.names, ",")), "Repositories to push to")
	b.output(buildspec.OutputRepositoryPrefix, b.props.RepositoryPrefix, "Repositories that begin with this may be pushed to")
	b.output(buildspec.OutputParameterName, b.props.ParameterName, "Parameter that holds these outputs too")
	if key := b.props.EncryptionKey; key != nil {
		b.output(buildspec.OutputEncryptionKeyARN, key.KeyArn(), "Key of that bucket")
	}
	b.addParameter()
}

// addParameter publishes the same in a parameter, for clients that do not know
// the stack.
func (b *imageBuilder) addParameter() {
	if b.props.ParameterName == nil {
		return
	}
	awsssm.NewCfnParameter(b, jsii.String("Parameter"), &awsssm.CfnParameterProps{
		Name:        b.props.ParameterName,
		Type:        jsii.String("String"),
		Description: jsii.String("Image builder " + *b.props.ProjectName + ", for flexbuild"),
		Value:       awscdk.Stack_Of(b).ToJsonString(b.outputs, nil),
	})
}

// output records an output, and adds it to the stack unless StackOutputs is
// false. Its id in the stack is its key. Outputs belong to stacks, so a second
// builder cannot have an output of the same key. An output without a value is
// left out, because CloudFormation refuses it.
func (b *imageBuilder) output(key string, value *string, description string) {
	if or(value, "") == "" {
		return
	}
	b.outputs[key] = value
	if !*b.props.StackOutputs {
		return
	}
	stack := awscdk.Stack_Of(b)
	id := jsii.String(*b.props.OutputPrefix + key)
	if stack.Node().TryFindChild(id) != nil {
		panic(problem("OutputPrefix", "%q: the stack has an output %s already: give each builder of a stack another prefix", *b.props.OutputPrefix, *id))
	}
	awscdk.NewCfnOutput(stack, id, &awscdk.CfnOutputProps{
		Value:       value,
		Description: jsii.String(description),
	})
}
