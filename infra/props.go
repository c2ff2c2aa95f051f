package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
)

// ImageBuilderProps are the properties of an [ImageBuilder]. All are optional;
// the zero value makes a builder that may push to the repositories under its
// own name.
//
// Names are literal: a token such as another resource's attribute is refused,
// for the role's trust and permissions are made of them.
type ImageBuilderProps struct {
	// ProjectName is the name of the CodeBuild project, 2 to 150 letters, digits,
	// - and _. The role trusts the project of exactly this name, and the other
	// default names derive from it, so changing it replaces the project.
	//
	// Default: made of the names of the stack and the construct, and a hash of
	// both.
	ProjectName *string

	// Role is what builds may do. Its trust must let codebuild.amazonaws.com
	// in: a role of the same app that does not fails the synthesis. The
	// builder adds its permissions to it, unless it was imported as not
	// mutable: then it must have them already.
	//
	// Default: a role of its own, which trusts this project only.
	Role awsiam.IRole

	// PermissionsBoundary bounds what the builder's own role can ever be
	// granted. It cannot be combined with a Role.
	//
	// Default: none.
	PermissionsBoundary awsiam.IManagedPolicy

	// Repositories are the ECR repositories to create, by name, for builds to
	// push to. Each holds what is in it when the stack goes (see
	// RepositoryRemovalPolicy). At most 30 with ExistingRepositories, for what
	// one policy can hold: for more, use RepositoryPrefix. From about 10 on the
	// template can get too large for a stack that is not bootstrapped.
	//
	// Default: none.
	Repositories *[]*string

	// ExistingRepositories are repositories of the stack's account and region
	// that builds may push to, too. Their settings stay as they are.
	//
	// Default: none.
	ExistingRepositories *[]awsecr.IRepository

	// RepositoryPrefix lets builds push to every repository whose name begins
	// with it, whoever creates that repository. It ends in a slash, so that
	// "team/" does not open "team-b". An empty string means no prefix.
	//
	// Default: the project's name in lower case and a slash if neither
	// Repositories nor ExistingRepositories are given, otherwise no prefix.
	RepositoryPrefix *string

	// ImageTagMutability reports whether a tag in the declared repositories can
	// be moved to another image. With IMMUTABLE the push of a tag that exists
	// fails the build.
	//
	// Default: MUTABLE.
	ImageTagMutability awsecr.TagMutability

	// ImageTagMutabilityExclusionFilters are the tags, up to 5 patterns with *
	// as the wildcard, that are exempt from ImageTagMutability; it must then be
	// IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION.
	//
	// Default: none.
	ImageTagMutabilityExclusionFilters *[]*string

	// ImageScanOnPush scans each pushed image in the declared repositories for
	// known vulnerabilities. Basic scanning is free.
	//
	// Default: true.
	ImageScanOnPush *bool

	// UntaggedImageExpiry removes images from the declared repositories so many
	// days after their push, once no tag names them. A build's tag can move to
	// the next image, so a service that was deployed by the digest of such an
	// image cannot be started again afterwards.
	//
	// Default: none: images stay, at ECR's price per GB.
	UntaggedImageExpiry awscdk.Duration

	// LifecyclePolicyText is a lifecycle policy of ECR in JSON, instead of
	// UntaggedImageExpiry. A rule that counts images can remove one that a
	// deployment has pinned by its digest.
	//
	// Default: the policy of UntaggedImageExpiry.
	LifecyclePolicyText *string

	// RepositoryEncryptionKey encrypts the declared repositories, that of
	// caches, and those that CreateRepositoriesOnPush and pull-through caches
	// make, at KMS's price per request. It is for a new stack: ECR cannot
	// change a repository's key, so that an update which adds, changes or
	// removes it fails.
	//
	// Default: none: ECR's own encryption (AES256).
	RepositoryEncryptionKey awskms.IKey

	// PullPrincipals are who else may pull from the declared repositories,
	// which their own policies then say: an awsiam.AccountPrincipal, say, or an
	// OrganizationPrincipal. Those of other accounts need permission in their
	// own account too; for this one's, GrantPull suffices.
	//
	// Default: none.
	PullPrincipals *[]awsiam.IPrincipal

	// CreateRepositoriesOnPush lets a push create its repository under
	// RepositoryPrefix, with the settings of the declared ones, so that nobody
	// has to declare it; but whether its images are scanned is a setting of the
	// whole registry, and it has no tags. Whoever may start builds can then
	// create repositories there. Such a repository is none of the stack's: it
	// stays when the stack goes.
	//
	// Default: false.
	CreateRepositoriesOnPush *bool

	// RepositoryRemovalPolicy is what happens to the declared repositories when
	// they leave the stack. DESTROY removes their images too. What was retained
	// keeps its name: a new stack that declares it fails until it is imported.
	//
	// Default: RETAIN_ON_UPDATE_OR_DELETE, which keeps them except when the
	// stack's very creation is rolled back.
	RepositoryRemovalPolicy awscdk.RemovalPolicy

	// CacheRepositoryName is the name of the repository that keeps the builds'
	// layer caches. It is created, its tags are mutable, and it goes with the
	// stack. Builds of one stack share it: whoever may start builds can write
	// what later builds of the same image read.
	//
	// Default: the project's name in lower case and "-cache".
	CacheRepositoryName *string

	// CacheExpiry removes a cache so many days after its last push, 1 or more.
	// ECR counts from the push and not from the last use, so builds push a
	// cache that they use again in time. A cache that a newer one has replaced
	// goes after a day. Caches cost storage, at ECR's price per GB.
	//
	// Default: 14 days.
	CacheExpiry awscdk.Duration

	// DockerHubCredentials are a secret with the keys username and accessToken
	// of a Docker Hub account. ECR then keeps a pull-through cache of Docker
	// Hub, and builds get its images from there, with that account's limits and
	// what it may read, which everybody who may start builds can then pull. The
	// secret's name must begin with ecr-pullthroughcache/, in the stack's own
	// account and region, and ECR reads none that is encrypted with a key of
	// your own. A new token goes into the same secret: another secret would
	// need another cache. ECR has no pull-through caches in China and in
	// GovCloud.
	//
	// The cached images lie in repositories of their own, under the project's
	// name and "-docker-hub/", at ECR's price per GB; what Docker Hub has
	// replaced expires 14 days after ECR fetched it. They are none of the
	// stack's: they stay when it goes.
	//
	// Default: none: builds get images of Docker Hub as DockerHubMirrors says.
	DockerHubCredentials awssecretsmanager.ISecret

	// BaseImageUpstreams are other registries that builds get images of through
	// pull-through caches of ECR, like Docker Hub's.
	//
	// Default: none: their images come straight from them.
	BaseImageUpstreams *[]*BaseImageUpstream

	// DockerHubMirrors are registries that builds look for images of Docker Hub
	// in, in that order, before they turn to Docker Hub itself, without an
	// account. Each is host[:port][/prefix]; library/alpine is then
	// host/prefix/library/alpine. They must serve anonymous pulls, or be a
	// registry of ECR that builds log in to. An empty list means Docker Hub
	// itself, which refuses most anonymous pulls from CodeBuild's addresses,
	// because everybody shares these. Remove the entries that builds cannot
	// reach: each of them is waited for when an image is in none before.
	//
	// If BaseImageUpstreams has the registry of an entry, builds reach the
	// entry through that cache. If there are DockerHubCredentials, the cache of
	// Docker Hub comes first, has every image, and the default is none.
	//
	// Default: public.ecr.aws/docker, then mirror.gcr.io. The former is AWS's
	// own copy of the Docker Official Images, and of nothing else. Pulls are
	// free; ECR Public serves one a second to an address without a login, and
	// ten a second to an account with one, for which builds have the
	// permission. The latter is Google's cache of Docker Hub, for all other
	// images: free, a best effort without any promise, and a third party that
	// is trusted with what it serves.
	DockerHubMirrors *[]*string

	// SourceExpiry removes uploaded directories from the source bucket after so
	// many days, 1 or more. As long as an upload is there, a directory that has
	// not changed since is not uploaded again; with 1, it is about once a day.
	// Each different upload costs its storage for that long, at S3's price per
	// GB. Builds read uploads, and so do the bucket's account's administrators.
	// Those whom GrantStart lets start builds cannot download them, but they
	// see which upload another build had and can build from it.
	//
	// Default: 7 days.
	SourceExpiry awscdk.Duration

	// SourceAccessLogBucket gets the source bucket's access log, under the
	// project's name. One that is imported must let logging.s3.amazonaws.com in
	// by its own policy.
	//
	// Default: none.
	SourceAccessLogBucket awss3.IBucket

	// SourceType is the type of the project's own source, which a build that
	// names no source uses: GITHUB, GITHUB_ENTERPRISE, GITLAB,
	// GITLAB_SELF_MANAGED, BITBUCKET, CODECOMMIT or NO_SOURCE.
	//
	// Default: GITHUB, which lets callers override the location alone.
	SourceType *string

	// SourceLocation is the https URL of the project's own source.
	//
	// Default: buildspec.PlaceholderSource, a repository of GitHub's own
	// without a Dockerfile, which is there to be overridden: a build that does
	// not fails. None for NO_SOURCE, required for the other types.
	SourceLocation *string

	// SourceConnectionArn is the literal ARN of a connection of CodeConnections
	// (or CodeStar Connections), with which builds clone repositories of
	// SourceType. Everybody who may start builds can then build whatever it can
	// read.
	//
	// Default: none: builds clone with what CodeBuild was given for the account
	// (aws codebuild import-source-credentials), or without a login.
	SourceConnectionArn *string

	// BuildImage is the image that builds run in, for Linux on x86-64 or ARM.
	// It needs bash, git, the AWS CLI and Docker with buildx. Builds may pull
	// it from ECR; the credentials of another registry everybody who may start
	// builds can then read, as with AllowSecret.
	//
	// Default: CodeBuild's Amazon Linux 2023 standard image 5.0 for x86-64.
	BuildImage awscodebuild.IBuildImage

	// ArmImage is the image that builds for linux/arm64 run in, on an ARM
	// machine instead of the project's: an image of CodeBuild's own for ARM.
	// Package runner asks for it when a request names that platform. ARM
	// machines have their own price per minute, and not every region has them.
	// An empty string means none: such builds then run where all others do,
	// without an emulator.
	//
	// Default: CodeBuild's Amazon Linux 2023 standard image 3.0 for ARM; none
	// if a BuildImage, a Fleet or a DockerServerComputeType is given.
	ArmImage *string

	// ComputeType is the size of the machine, which sets the price of a build
	// minute. A build can ask for another one.
	//
	// Default: SMALL (BUILD_GENERAL1_SMALL: 2 vCPUs).
	ComputeType awscodebuild.ComputeType

	// Timeout ends a build that runs longer, 5 minutes to 36 hours. A build can
	// ask for another one. The CDK's check of the template still knows the
	// former limit and warns above 8 hours.
	//
	// Default: 1 hour.
	Timeout awscdk.Duration

	// QueuedTimeout gives up a build that waits longer to start, 5 minutes to 8
	// hours. A build can ask for another one.
	//
	// Default: 8 hours.
	QueuedTimeout awscdk.Duration

	// ConcurrentBuildLimit is the number of builds that may run at once, 1 to
	// 10,000, in the limits of the account. A build over it is refused, not
	// queued.
	//
	// Default: none: builds over the account's limit wait in its queue.
	ConcurrentBuildLimit *float64

	// AutoRetryLimit has CodeBuild start a build that failed again, up to that
	// many times, 0 to 10. Each retry is a build of its own, which is paid like
	// any other. Package runner waits for the build that it started, and not
	// for its retries: it reports the failure while CodeBuild goes on. Retries
	// are for builds that nobody waits for, such as those of RebuildOn.
	//
	// Default: 0.
	AutoRetryLimit *float64

	// EnvironmentVariables are more variables of every build: a proxy, say, or
	// settings of BuildKit. RUN steps do not see them. Names of the contract
	// (docs/contract.md) are refused, and so are those that begin with
	// CODEBUILD_, which CodeBuild reserves. A plain value is no place for a
	// secret, because everybody who may see a build sees it. Builds may read
	// the parameters and secrets that variables of the other types name; a key
	// of your own that encrypts one takes AllowParameter or AllowSecret
	// besides. The caller of a build cannot change these variables.
	//
	// Default: none.
	EnvironmentVariables *map[string]*awscodebuild.BuildEnvironmentVariable

	// SsmSessionPermissions let an administrator open a shell in a running
	// build that was started with debugSessionEnabled, by Session Manager.
	// Whoever has that shell has the builds' role. docs/security.md says what
	// permissions it takes, and what the role gets.
	//
	// Default: false.
	SsmSessionPermissions *bool

	// Vpc is a VPC for builds to run in, for what only that VPC can reach. Its
	// subnets need a way to ECR, S3, CloudWatch Logs, the sources, and the
	// registries of base images, which are those of DockerHubMirrors and Docker
	// Hub unless there are DockerHubCredentials: a NAT gateway or, where there
	// are such, VPC endpoints, which have their own price. Through endpoints
	// alone, ECR's pull-through caches serve the images that they hold, and
	// fetch no new ones. EC2's permissions for network interfaces have no
	// narrower resource than all of the account's. A Fleet has a VPC of its
	// own.
	//
	// Default: none: builds run in a network of AWS with access to the
	// internet.
	Vpc awsec2.IVpc

	// SubnetSelection are the subnets of Vpc. Public ones are refused,
	// because builds get no public address and could reach nothing from there.
	//
	// Default: those with egress through NAT, else isolated ones.
	SubnetSelection *awsec2.SubnetSelection

	// SecurityGroups are what builds in the Vpc may reach, at most 5.
	//
	// Default: a new one that lets everything out and nothing in.
	SecurityGroups *[]awsec2.ISecurityGroup

	// Fleet is reserved machines for the builds, which are paid for while they
	// are idle too. It sets the machine's size.
	//
	// Default: none: machines on demand.
	Fleet awscodebuild.IFleet

	// DockerServerComputeType adds a Docker server of that size to the project.
	// It keeps its layers for up to a month after the last build, and all
	// builds of the project share it: for builds that trust each other. It is
	// paid by the minute while builds use it, next to the builds' own machines.
	// Builds use it as it is: mirrors of base images do not apply, and instead
	// of the cache repository there is what an image itself can hold.
	//
	// Default: none: each build has a BuildKit of its own, empty at first, and
	// takes its cache from the cache repository.
	DockerServerComputeType awscodebuild.DockerServerComputeType

	// LocalCacheModes keep caches on the machine for a build that CodeBuild
	// happens to place there again, a best effort: SOURCE the repository, and
	// DOCKER_LAYER the layers, with the Docker daemon in BuildKit's place as
	// with a Docker server. CodeBuild has none in a Vpc.
	//
	// Default: none.
	LocalCacheModes *[]awscodebuild.LocalCacheMode

	// EncryptionKey encrypts uploaded sources, and what CodeBuild keeps for a
	// project, at KMS's price per request.
	//
	// Default: none: S3's own encryption (AES256).
	EncryptionKey awskms.IKey

	// LogEncryptionKey encrypts the log group. If the key is made in this app,
	// its policy lets CloudWatch Logs use it for this group; else it must
	// already.
	//
	// Default: none: CloudWatch Logs' own encryption.
	LogEncryptionKey awskms.IKey

	// LogBucket takes a copy of each build's log, under the project's name. One
	// of another account must let the builds' role in by its own policy, and
	// EncryptionKey be a key that account can read with.
	//
	// Default: none.
	LogBucket awss3.IBucket

	// LogGroupName is the name of the log group that builds write to. It is
	// created.
	//
	// Default: /aws/codebuild/ and the project's name.
	LogGroupName *string

	// LogRetention is how long logs are kept; INFINITE keeps them, at
	// CloudWatch Logs' price per GB.
	//
	// Default: ONE_MONTH.
	LogRetention awslogs.RetentionDays

	// LogRemovalPolicy is what happens to the log group when it leaves the
	// stack. A retained one keeps its name, so that a new stack of the same
	// name fails until it is removed or imported.
	//
	// Default: DESTROY.
	LogRemovalPolicy awscdk.RemovalPolicy

	// OutputPrefix is put before the keys of the stack's outputs, letters and
	// digits. Several builders in one stack need different ones.
	//
	// Package runner finds the only builder of a stack whatever its prefix is,
	// and one of several by the stack's name, a dot and the prefix.
	//
	// Default: none.
	OutputPrefix *string

	// StackOutputs reports whether the stack publishes the builder in its
	// outputs. Without them it is found by its parameter only, so there must be
	// a ParameterName.
	//
	// Default: true.
	StackOutputs *bool

	// ParameterName is the name of a parameter of Systems Manager to create,
	// which holds the outputs in one JSON object, without their prefix. Package
	// runner takes it in the place of a stack's name, so that those who start
	// builds need not know the stack, which can then be renamed. It begins with
	// a slash. Standard parameters are free; what they hold is no secret.
	//
	// Default: none.
	ParameterName *string
}
