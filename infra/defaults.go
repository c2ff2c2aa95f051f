package infra

import (
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

const (
	noSource        = "NO_SOURCE"
	defaultArmImage = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
	// sourcePrefix is the key prefix of uploads in the source bucket.
	sourcePrefix = "sources/"
)

// withDefaults returns a copy of p in which every prop is set whose default is
// a plain value. The default of BuildImage is the CDK's (see environment).
// ProjectName must be set.
func (p ImageBuilderProps) withDefaults() *ImageBuilderProps {
	project := *p.ProjectName
	setDefault(&p.Repositories, []*string{})
	setDefault(&p.RepositoryPrefix, p.defaultPrefix())
	setDefault(&p.ImageScanOnPush, true)
	setDefault(&p.LifecyclePolicyText, p.untaggedExpiry())
	setDefault(&p.CreateRepositoriesOnPush, false)
	setDefault(&p.DockerHubMirrors, p.defaultMirrors())
	setDefault(&p.SourceType, "GITHUB")
	setDefault(&p.LogGroupName, "/aws/codebuild/"+project)
	setDefault(&p.OutputPrefix, "")
	setDefault(&p.StackOutputs, true)
	setDefault(&p.AutoRetryLimit, 0)
	setDefault(&p.EnvironmentVariables, map[string]*awscodebuild.BuildEnvironmentVariable{})
	setDefault(&p.SsmSessionPermissions, false)
	setDefault(&p.ArmImage, p.defaultArmImage())
	p.CacheRepositoryName = jsii.String(p.cacheRepositoryName())
	if p.SourceLocation == nil && *p.SourceType != noSource {
		p.SourceLocation = jsii.String(buildspec.PlaceholderSource)
	}
	setDuration(&p.CacheExpiry, days.of(14))
	setDuration(&p.SourceExpiry, days.of(7))
	setDuration(&p.Timeout, minutes.of(60))
	setDuration(&p.QueuedTimeout, minutes.of(480))
	setEnum(&p.ImageTagMutability, awsecr.TagMutability_MUTABLE)
	setEnum(&p.RepositoryRemovalPolicy, awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE)
	setEnum(&p.ComputeType, awscodebuild.ComputeType_SMALL)
	setEnum(&p.LogRetention, awslogs.RetentionDays_ONE_MONTH)
	setEnum(&p.LogRemovalPolicy, awscdk.RemovalPolicy_DESTROY)
	return &p
}

// defaultArmImage returns "" if the stack sets its own image, fleet or Docker
// server: CodeBuild's ARM image may lack tools that such a stack relies on.
func (p *ImageBuilderProps) defaultArmImage() string {
	if p.BuildImage != nil || p.Fleet != nil || p.DockerServerComputeType != "" {
		return ""
	}
	return defaultArmImage
}

// defaultMirrors returns no mirrors if ECR caches Docker Hub itself: the cache
// has every image of Docker Hub, and a VPC may reach nothing else.
func (p *ImageBuilderProps) defaultMirrors() []*string {
	if p.DockerHubCredentials != nil {
		return []*string{}
	}
	return *jsii.Strings(buildspec.DockerHubMirrors()...)
}

func setDefault[T any](value **T, otherwise T) {
	if *value == nil {
		*value = &otherwise
	}
}

func setDuration(value *awscdk.Duration, otherwise awscdk.Duration) {
	if *value == nil {
		*value = otherwise
	}
}

func setEnum[T ~string](value *T, otherwise T) {
	if *value == "" {
		*value = otherwise
	}
}

func (p *ImageBuilderProps) defaultPrefix() string {
	if !p.namesNone() {
		return ""
	}
	return repositoryNameOf(*p.ProjectName) + "/"
}

// cacheRepositoryName returns the cache repository's name, or "" if the name
// derives from a ProjectName that is not set.
func (p *ImageBuilderProps) cacheRepositoryName() string {
	if p.CacheRepositoryName != nil {
		return *p.CacheRepositoryName
	}
	if p.ProjectName != nil {
		return repositoryNameOf(*p.ProjectName) + "-cache"
	}
	return ""
}

var notInRepositoryName = regexp.MustCompile(`[^a-z0-9]+`)

// repositoryNameOf returns the name of an ECR repository for a project's name.
func repositoryNameOf(project string) string {
	return strings.Trim(notInRepositoryName.ReplaceAllString(strings.ToLower(project), "-"), "-")
}
