package infra

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodecommit"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// IImageBuilder is a deployed image builder: one that this app makes, or one of
// another stack, which [FromStackOutputs], [FromParameterName] and
// [FromAttributes] return. It is a construct, so other constructs can have it
// as their scope and depend on it.
//
// It is grantable too. What is granted to it is granted to its builds' role,
// and so to every Dockerfile that anybody builds with it. Nothing can be
// granted to an imported builder without a role: the CDK panics or warns.
type IImageBuilder interface {
	constructs.Construct
	awsiam.IGrantable

	// Project returns the CodeBuild project that runs the builds.
	Project() awscodebuild.IProject
	// Role returns the builds' role. It is nil for an imported builder whose
	// role is not given.
	Role() awsiam.IRole
	// LogGroup returns the log group of the builds.
	LogGroup() awslogs.ILogGroup
	// SourceBucket returns the bucket for uploaded directories, which have the
	// key prefix sources/.
	SourceBucket() awss3.IBucket
	// Repositories returns the repositories to which builds push: the declared
	// ones and the existing ones, in the order of the props.
	Repositories() []awsecr.IRepository
	// CacheRepository returns the repository of the builds' layer caches.
	CacheRepository() awsecr.IRepository

	// GrantStart lets grantee start, watch and stop builds, as package runner
	// does, and upload directories. It denies grantee the overrides of
	// StartBuild that would give it the builds' permissions, and what limits do
	// not permit; nil sets no limits. If GrantStart is called twice for a
	// grantee, the limits of both calls apply. The Grant contains the denials
	// too.
	//
	// The grant takes about 5,500 characters of policy. A role has room for
	// that, and so has an awsiam.ManagedPolicy, which is a grantee too (for
	// permission sets, for example), but not the policies of a user or a group.
	// Limits take up to 2,000 characters more, for which only a role has room.
	// A policy that IAM would refuse fails the synthesis. Grantees that take no
	// policy, such as a service or an imported role that is not mutable, get
	// nothing.
	GrantStart(grantee awsiam.IGrantable, limits *StartLimits) awsiam.Grant
	// GrantRead lets grantee watch builds and read their logs.
	GrantRead(grantee awsiam.IGrantable) awsiam.Grant
	// GrantPull lets grantee pull the images that builds push. It panics for an
	// imported builder whose repositories are not known.
	GrantPull(grantee awsiam.IGrantable) awsiam.Grant

	// OnBuildStateChange adds an EventBridge rule with the given construct id
	// for each change of a build's state in this project. The other methods add
	// a rule for some states: OnBuildSucceeded for SUCCEEDED, OnBuildFailed for
	// FAILED, FAULT and TIMED_OUT, and OnBuildStopped for STOPPED, which is
	// somebody's decision. EventBridge delivers events of CodeBuild as a best
	// effort.
	OnBuildStateChange(id *string, options *awsevents.OnEventOptions) awsevents.Rule
	OnBuildSucceeded(id *string, options *awsevents.OnEventOptions) awsevents.Rule
	OnBuildFailed(id *string, options *awsevents.OnEventOptions) awsevents.Rule
	OnBuildStopped(id *string, options *awsevents.OnEventOptions) awsevents.Rule

	// Metric returns one of CodeBuild's metrics of the project, by its name in
	// the namespace AWS/CodeBuild. It is the Average over five minutes, unless
	// options say otherwise. The other methods return metrics by purpose:
	// MetricBuilds, MetricSucceededBuilds and MetricFailedBuilds count builds
	// (Sum), MetricDuration is the duration of whole builds, and
	// MetricQueuedDuration their time in the queue, in seconds (Average).
	Metric(name *string, options *awscloudwatch.MetricOptions) awscloudwatch.Metric
	MetricBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric
	MetricSucceededBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric
	MetricFailedBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric
	MetricDuration(options *awscloudwatch.MetricOptions) awscloudwatch.Metric
	MetricQueuedDuration(options *awscloudwatch.MetricOptions) awscloudwatch.Metric

	// RebuildOn adds a schedule of EventBridge Scheduler with the given
	// construct id. The schedule starts the same build again and again, for
	// example to get fixes of base images. awsscheduler.ScheduleExpression_Cron
	// and similar functions make a schedule; its time zone is UTC unless it has
	// another one. The schedule gets a role that can start this build only.
	// RebuildOn panics with an error that names everything that is wrong with
	// the request, because nobody sees the failure of a scheduled build without
	// OnBuildFailed or an alarm. Schedules cost next to nothing; their builds
	// cost as much as any other.
	RebuildOn(id *string, schedule awsscheduler.ScheduleExpression, request *RebuildRequest) awsscheduler.CfnSchedule

	// AddDashboard adds a CloudWatch dashboard of the builds: their number,
	// failures, duration by phase, and time in the queue. Dashboards cost by
	// the month.
	AddDashboard(id *string) awscloudwatch.Dashboard
	// AlarmOnFailures adds an alarm for hours in which more than the given
	// percentage of the builds failed. It panics unless the percentage is above
	// 0 and below 100.
	AlarmOnFailures(id *string, percent float64) awscloudwatch.Alarm
	// AlarmOnQueueTime adds an alarm for builds that waited longer than the
	// given duration to start. It panics unless the duration is at least a
	// second.
	AlarmOnQueueTime(id *string, longest awscdk.Duration) awscloudwatch.Alarm
}

// ImageBuilder is an image builder that this app makes. Unlike an imported one,
// it can be changed: its builds can be allowed more.
type ImageBuilder interface {
	IImageBuilder
	// Connections returns the security groups of builds in a Vpc. It panics
	// without a Vpc and with a Fleet, because there are none then.
	awsec2.IConnectable

	// AllowPush lets builds push to an ECR repository of another region or
	// account, which must exist, and whose own policy must let the builds' role
	// in if it is another account's. A build goes there whose REGION and
	// ACCOUNT say so; docs/registries.md has the policy. For the builder's own
	// registry there are ExistingRepositories.
	AllowPush(repository awsecr.IRepository)
	// AllowBaseImages lets builds pull from a private ECR repository. It may
	// belong to another account if its own policy allows that. Builds log in to
	// the registry of another account or region.
	AllowBaseImages(repository awsecr.IRepository)
	// AllowSecret lets builds read a secret of Secrets Manager: a build secret,
	// or the git token of a host that CodeBuild does not know (runner.Git's
	// Token). Everybody who may start builds can then read it, by a Dockerfile
	// or by naming a git host of their own. People who may not share secrets
	// need a builder each.
	AllowSecret(secret awssecretsmanager.ISecret)
	// AllowParameter lets builds read a parameter of Systems Manager as a build
	// secret. key is the key that encrypts the parameter; nil means the key of
	// Systems Manager itself.
	AllowParameter(parameter awsssm.IParameter, key awskms.IKey)

	// AllowConnection lets builds clone through a connection of CodeConnections
	// (or CodeStar Connections), given by its literal ARN. It panics for
	// anything else.
	AllowConnection(arn *string)
	// AllowCodeCommit lets builds clone a CodeCommit repository.
	AllowCodeCommit(repository awscodecommit.IRepository)
	// AllowSourceObjects lets builds read their source from a bucket, from keys
	// that begin with prefix.
	AllowSourceObjects(bucket awss3.IBucket, prefix *string)
}

type imageBuilder struct {
	constructs.Construct

	props *ImageBuilderProps // with their defaults

	stackARN        *string // nil if it is not known whether its outputs have the builder
	project         awscodebuild.IProject
	role            awsiam.IRole
	policy          awsiam.Policy                     // of role; nil for an imported builder
	shared          map[string]awsiam.PolicyStatement // statements of policy, by their actions: see permitOn
	logGroup        awslogs.ILogGroup
	sourceBucket    awss3.IBucket
	repositories    []awsecr.IRepository
	names           []string // of repositories
	cacheRepository awsecr.IRepository

	dockerServerGroup awsec2.SecurityGroup // nil if there is none

	creationRole awsiam.Role // with which ECR creates repositories; nil if it needs none

	grantees []awsiam.IGrantable // of the Grant methods

	outputs        map[string]any
	mirrors        []string // of base images, in order: host=registry/prefix
	baseRegistries []string // other registries, which AllowBaseImages names
}

func (b *imageBuilder) Project() awscodebuild.IProject      { return b.project }
func (b *imageBuilder) Role() awsiam.IRole                  { return b.role }
func (b *imageBuilder) LogGroup() awslogs.ILogGroup         { return b.logGroup }
func (b *imageBuilder) SourceBucket() awss3.IBucket         { return b.sourceBucket }
func (b *imageBuilder) CacheRepository() awsecr.IRepository { return b.cacheRepository }
func (b *imageBuilder) Repositories() []awsecr.IRepository  { return slices.Clone(b.repositories) }

// GrantPrincipal returns the builds' role. For an imported builder without a
// role it returns a principal to which nothing can be granted and which says
// so.
func (b *imageBuilder) GrantPrincipal() awsiam.IPrincipal {
	if b.role == nil {
		return awsiam.NewUnknownPrincipal(&awsiam.UnknownPrincipalProps{Resource: b})
	}
	return b.role.GrantPrincipal()
}

// Connections returns those of the project. Without a VPC the project has none,
// and the CDK would answer with a stack trace.
func (b *imageBuilder) Connections() awsec2.Connections {
	if b.props.Vpc == nil {
		panic(problem("Connections", "the builds of %s have no security groups: give the builder a Vpc", *b.ToString()))
	}
	return b.project.Connections()
}

// ToString returns the construct's name in messages of the CDK.
func (b *imageBuilder) ToString() *string { return b.Node().Path() }

// NewImageBuilder adds an image builder with the given id to scope. props may
// be nil. Like every constructor of the CDK, it panics if it cannot do so. The
// panic's value is the error of [ImageBuilderProps.Validate].
func NewImageBuilder(scope constructs.Construct, id *string, props *ImageBuilderProps) ImageBuilder {
	must(props.Validate())
	b := &imageBuilder{}
	// Override makes the Go struct itself the construct. A struct that only
	// embeds a construct cannot be passed to the CDK.
	constructs.NewConstruct_Override(b, scope, id)
	b.Node().AddValidation(&completeApp{b})
	b.props = b.resolve(props)
	must(b.checkBuildImage())
	must(b.checkSubnets())
	b.warnOfRegion()

	if *b.props.StackOutputs {
		b.stackARN = b.stackNamed(*awscdk.Aws_STACK_NAME())
	}
	b.logGroup = b.newLogGroup()
	b.sourceBucket = b.newSourceBucket()
	b.repositories = b.newRepositories()
	b.cacheRepository = b.newCacheRepository()
	b.role = b.newRole()
	b.policy = b.newPolicy()
	b.permit(b.statements()...)
	b.permit(b.publicLogin()...)
	b.permit(b.networkStatements()...)
	b.allowLogBucket()
	// For the sources that builds read, and what CodeBuild keeps for them.
	b.permitKey(b.props.EncryptionKey, "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
	if arn := b.props.SourceConnectionArn; arn != nil {
		b.AllowConnection(arn)
	}
	b.allowBuildImage()
	b.allowVariables()
	b.allowRetries()
	b.allowSessions()
	b.addCreationTemplate()
	b.addUpstreams()
	b.addDockerHubMirrors()
	b.project = b.newProject()
	b.addOutputs()
	return b
}

// resolve sets the defaults and checks them too, because a derived name can
// clash with a given one.
func (b *imageBuilder) resolve(given *ImageBuilderProps) *ImageBuilderProps {
	props := or(given, ImageBuilderProps{})
	if props.ProjectName == nil {
		props.ProjectName = awscdk.Names_UniqueResourceName(b, &awscdk.UniqueResourceNameOptions{
			MaxLength:                jsii.Number(150),
			Separator:                jsii.String("-"),
			AllowedSpecialCharacters: jsii.String("-"),
		})
	}
	resolved := props.withDefaults()
	must(resolved.Validate())
	return resolved
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
