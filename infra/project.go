package infra

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// newProject adds the project. It depends on the role's policy, because a build
// that starts earlier would fail.
func (b *imageBuilder) newProject() awscodebuild.IProject {
	project := awscodebuild.NewProject(b, jsii.String("Project"), &awscodebuild.ProjectProps{
		ProjectName:                 b.props.ProjectName,
		Description:                 jsii.String("Builds a Dockerfile and pushes the image (flexbuild)"),
		Role:                        b.frozenRole(),
		BuildSpec:                   awscodebuild.BuildSpec_FromObject(&map[string]any{"version": "0.2"}), // see configure
		Environment:                 b.environment(),
		EnvironmentVariables:        b.variables(),
		Timeout:                     b.props.Timeout,
		QueuedTimeout:               b.props.QueuedTimeout,
		ConcurrentBuildLimit:        b.props.ConcurrentBuildLimit,
		AutoRetryLimit:              b.autoRetryLimit(),
		GrantReportGroupPermissions: jsii.Bool(false),
		EncryptionKey:               b.props.EncryptionKey,
		Vpc:                         b.props.Vpc,
		SubnetSelection:             b.props.SubnetSelection,
		SecurityGroups:              b.props.SecurityGroups,
		Cache:                       b.localCache(),
	})
	project.Node().AddDependency(b.policy)
	if b.dockerServerGroup != nil {
		b.dockerServerGroup.Connections().AllowFrom(project, awsec2.Port_Tcp(jsii.Number(dockerServerPort)), jsii.String("Builds"))
	}
	b.configure(project)
	return project
}

// configure sets what the L2 would set differently: the L2 takes a buildspec as
// a tree and parts of a source's URL, and adds a resource policy to the account
// for logs of an imported role.
func (b *imageBuilder) configure(project awscodebuild.Project) {
	resource := project.Node().DefaultChild().(awscodebuild.CfnProject)
	resource.SetSource(b.source())
	resource.SetLogsConfig(b.logsConfig())
}

// source returns the project's own source. It has no clone depth and no
// submodules. AWS does not document what a build with another source inherits
// of these, so package runner sends them with each git source.
func (b *imageBuilder) source() *awscodebuild.CfnProject_SourceProperty {
	source := &awscodebuild.CfnProject_SourceProperty{
		Type:      b.props.SourceType,
		BuildSpec: jsii.String(buildspec.Source()),
	}
	if *b.props.SourceType != noSource {
		source.Location = b.props.SourceLocation
		source.Auth = b.sourceAuth()
	}
	return source
}

func (b *imageBuilder) sourceAuth() any {
	if b.props.SourceConnectionArn == nil {
		return nil
	}
	return &awscodebuild.CfnProject_SourceAuthProperty{Type: jsii.String("CODECONNECTIONS"), Resource: b.props.SourceConnectionArn}
}

// environment returns the build environment. It is privileged because Docker
// runs in it. CodeBuild isolates builds by giving each one a virtual machine of
// its own.
func (b *imageBuilder) environment() *awscodebuild.BuildEnvironment {
	image := b.props.BuildImage
	if image == nil {
		image = awscodebuild.LinuxBuildImage_AMAZON_LINUX_2023_5()
	}
	environment := &awscodebuild.BuildEnvironment{
		BuildImage:  image,
		ComputeType: b.props.ComputeType,
		Privileged:  jsii.Bool(true),
		Fleet:       b.props.Fleet,
	}
	if size := b.props.DockerServerComputeType; size != "" {
		environment.DockerServer = &awscodebuild.DockerServerOptions{ComputeType: size, SecurityGroups: b.dockerServerGroups()}
	}
	return environment
}

// checkBuildImage refuses the images of machines that run no Docker, or no
// bash. It refuses ARM images beside a Docker server, because AWS does not
// document a Docker server for ARM.
func (b *imageBuilder) checkBuildImage() error {
	image, server := b.props.BuildImage, b.props.DockerServerComputeType
	switch {
	case image == nil || *image.Type() == "LINUX_CONTAINER":
		return nil
	case *image.Type() == "ARM_CONTAINER" && server == "":
		return nil
	case *image.Type() == "ARM_CONTAINER":
		return problem("DockerServerComputeType", "%q with the ARM image %q: AWS documents no Docker server for ARM; remove one of them", server, *image.ImageId())
	}
	return problem("BuildImage", "%q is of type %s: give one of type LINUX_CONTAINER or ARM_CONTAINER", *image.ImageId(), *image.Type())
}

// allowBuildImage lets CodeBuild pull a build image that is not its own.
// CodeBuild uses the builds' role for that.
func (b *imageBuilder) allowBuildImage() {
	image := b.props.BuildImage
	if image == nil {
		return
	}
	if repository := image.Repository(); repository != nil {
		b.permitOn(repository.RepositoryArn(), pullActions...)
	}
	if secret := image.SecretsManagerCredentials(); secret != nil {
		b.AllowSecret(secret)
	}
}

func (b *imageBuilder) localCache() awscodebuild.Cache {
	if b.props.LocalCacheModes == nil || len(*b.props.LocalCacheModes) == 0 {
		return nil
	}
	return awscodebuild.Cache_Local(*b.props.LocalCacheModes...)
}

// autoRetryLimit returns nil for CodeBuild's own default, which is 0.
func (b *imageBuilder) autoRetryLimit() *float64 {
	if *b.props.AutoRetryLimit == 0 {
		return nil
	}
	return b.props.AutoRetryLimit
}

// allowRetries lets CodeBuild start a build again. CodeBuild uses the builds'
// role for that.
func (b *imageBuilder) allowRetries() {
	if b.autoRetryLimit() != nil {
		b.permit(allow([]*string{b.projectARN()}, "codebuild:RetryBuild"))
	}
}

// allowSessions lets Session Manager into builds, as CodeBuild's user guide has
// it ("Debug builds with Session Manager"). The CDK's own ssmSessionPermissions
// would let builds write to every log group and bucket too, for the sessions'
// logs.
func (b *imageBuilder) allowSessions() {
	if !*b.props.SsmSessionPermissions {
		return
	}
	// A channel has no name before it is opened, so there is no narrower
	// resource.
	b.permit(allow([]*string{jsii.String("*")},
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
		"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"))
}

// variables returns the variables that the stack sets for every build.
func (b *imageBuilder) variables() *map[string]*awscodebuild.BuildEnvironmentVariable {
	variables := map[string]*awscodebuild.BuildEnvironmentVariable{
		buildspec.VarRegistry:        {Value: b.registry()},
		buildspec.VarCacheRepository: {Value: b.cacheRepository.RepositoryName()},
		buildspec.VarCacheExpiry:     {Value: wholeNumber(days.in(b.props.CacheExpiry))},
	}
	if *b.props.CreateRepositoriesOnPush {
		variables[buildspec.VarCreateOnPush] = &awscodebuild.BuildEnvironmentVariable{Value: b.props.RepositoryPrefix}
	}
	if len(b.mirrors) > 0 {
		mirrors := awscdk.Fn_Join(jsii.String(" "), jsii.Strings(b.mirrors...))
		variables[buildspec.VarMirrors] = &awscodebuild.BuildEnvironmentVariable{Value: mirrors}
	}
	maps.Copy(variables, *b.props.EnvironmentVariables)
	if b.keepsLayers() {
		variables[buildspec.VarBuilder] = &awscodebuild.BuildEnvironmentVariable{Value: "default"}
	}
	return &variables
}

// keepsLayers reports whether the builds' Docker daemon has the layers of
// earlier builds. A builder of the build's own, which is empty at first, would
// not use them.
func (b *imageBuilder) keepsLayers() bool {
	return b.props.DockerServerComputeType != "" ||
		slices.Contains(or(b.props.LocalCacheModes, nil), awscodebuild.LocalCacheMode_DOCKER_LAYER)
}
