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

// ImageBuilderProps are the properties of an [ImageBuilder]. All of them are
// optional. The zero value makes a builder that may push to the repositories
// under its own name.
//
// Names must be literal. A token, such as another resource's attribute, is
// refused, because the role's trust and permissions contain the names.
type ImageBuilderProps struct {
	// ProjectName is the name of the CodeBuild project, 2 to 150 letters, digits,
	// - and _. The role trusts the project of exactly this name, and the other
	// default names derive from it, so changing it replaces the project.
	//
	// Default: made of the names of the stack and the construct, and a hash of
	// both.
	ProjectName *string

	// Role is the builds' role. Its trust policy must let
	// codebuild.amazonaws.com assume it. The builder adds its permissions to
	// the role, unless the role was imported as not mutable. Such a role must
	// have the permissions already.
	//
	// Default: a new role, which only this project can assume.
	Role awsiam.IRole

	// PermissionsBoundary is the permissions boundary of the builder's own
	// role. It cannot be combined with a Role.
	//
	// Default: none.
	PermissionsBoundary awsiam.IManagedPolicy

	// Repositories are the names of the ECR repositories to create, to which
	// builds may push. They are retained when the stack is deleted (see
	// RepositoryRemovalPolicy). Together with ExistingRepositories there may be
	// 30, because one policy can hold no more; for more, use RepositoryPrefix.
	// From about 10 on, the template can get too large for a stack that is not
	// bootstrapped.
	//
	// Default: none.
	Repositories *[]*string

	// ExistingRepositories are repositories of the stack's account and region
	// to which builds may push too. Their settings stay as they are.
	// Repositories of other accounts and regions take AllowPush.
	//
	// Default: none.
	ExistingRepositories *[]awsecr.IRepository

	// RepositoryPrefix lets builds push to every repository whose name begins
	// with it, whoever creates that repository. It ends in a slash, so that
	// "team/" does not permit "team-b". An empty string means no prefix.
	//
	// Default: the project's name in lower case and a slash if there are
	// neither Repositories nor ExistingRepositories, otherwise no prefix.
	RepositoryPrefix *string

	// ImageTagMutability determines whether a tag in the declared repositories
	// can be moved to another image. With IMMUTABLE, a build that pushes an
	// existing tag fails.
	//
	// Default: MUTABLE.
	ImageTagMutability awsecr.TagMutability

	// ImageTagMutabilityExclusionFilters are up to 5 patterns of tags, with *
	// as the wildcard, that are exempt from ImageTagMutability.
	// ImageTagMutability must then be IMMUTABLE_WITH_EXCLUSION or
	// MUTABLE_WITH_EXCLUSION.
	//
	// Default: none.
	ImageTagMutabilityExclusionFilters *[]*string

	// ImageScanOnPush scans each pushed image in the declared repositories for
	// known vulnerabilities. Basic scanning is free.
	//
	// Default: true.
	ImageScanOnPush *bool

	// UntaggedImageExpiry deletes images from the declared repositories that
	// long after their push if no tag names them. A tag can move to a later
	// image. A service that was deployed by the digest of the earlier one can
	// then not be started again.
	//
	// Default: none: images stay, at ECR's price per GB.
	UntaggedImageExpiry awscdk.Duration

	// LifecyclePolicyText is a lifecycle policy of ECR in JSON that replaces
	// UntaggedImageExpiry. A rule that counts images can delete one that a
	// deployment names by its digest.
	//
	// Default: the policy of UntaggedImageExpiry.
	LifecyclePolicyText *string

	// RepositoryEncryptionKey encrypts the declared repositories, the cache
	// repository, and those that CreateRepositoriesOnPush and pull-through
	// caches create, at KMS's price per request. Set it for new stacks only:
	// ECR cannot change a repository's key, so an update that adds, changes or
	// removes it fails.
	//
	// Default: none: ECR's own encryption (AES256).
	RepositoryEncryptionKey awskms.IKey

	// PullPrincipals may pull from the declared repositories, by the
	// repositories' own policies. They are, for example, an
	// awsiam.AccountPrincipal, an OrganizationPrincipal, or the service
	// principal of AWS Lambda (docs/registries.md). Principals of other
	// accounts need a permission in their own account too. For principals of
	// this account, GrantPull is enough.
	//
	// Default: none.
	PullPrincipals *[]awsiam.IPrincipal

	// CreateRepositoriesOnPush lets a push create a missing repository under
	// RepositoryPrefix, so that nobody has to declare it. The repository gets
	// the settings of the declared ones, with two exceptions: it has no tags,
	// and whether its images are scanned is a setting of the whole registry.
	// Whoever may start builds can then create repositories there. Such a
	// repository does not belong to the stack and stays when the stack is
	// deleted.
	//
	// Default: false.
	CreateRepositoriesOnPush *bool

	// RepositoryRemovalPolicy is applied to the declared repositories when they
	// leave the stack. DESTROY deletes their images too. A retained repository
	// keeps its name: a new stack that declares it fails until the repository
	// is imported.
	//
	// Default: RETAIN_ON_UPDATE_OR_DELETE, which retains them unless the
	// creation of the stack is rolled back.
	RepositoryRemovalPolicy awscdk.RemovalPolicy

	// CacheRepositoryName is the name of the repository for the builds' layer
	// caches. The repository is created, has mutable tags and is deleted with
	// the stack. All builds of the builder share it: whoever may start builds
	// can write what later builds of the same image read.
	//
	// Default: the project's name in lower case and "-cache".
	CacheRepositoryName *string

	// CacheExpiry deletes a cache that long after its last push, 1 day or more.
	// ECR counts from the push and not from the last use, so builds push a
	// cache that they use again in time. A cache that a newer one has replaced
	// is deleted after a day. Caches cost storage, at ECR's price per GB.
	//
	// Default: 14 days.
	CacheExpiry awscdk.Duration

	// DockerHubCredentials are a secret with the keys username and accessToken
	// of a Docker Hub account. ECR then keeps a pull-through cache of Docker
	// Hub, from which builds get its images. The account's limits apply, and
	// everybody who may start builds can pull whatever the account may read.
	// ECR reads the secret only if its name begins with ecr-pullthroughcache/,
	// it lies in the stack's own account and region, and it is not encrypted
	// with a key of your own. Put a new token into the same secret, because
	// another secret would need another cache. ECR has no pull-through caches
	// in China and in GovCloud.
	//
	// The cached images lie in repositories of their own, under the project's
	// name and "-docker-hub/", at ECR's price per GB. An image that Docker Hub
	// has replaced is deleted 14 days after ECR fetched it. These repositories
	// do not belong to the stack and stay when it is deleted.
	//
	// Default: none: builds get images of Docker Hub by DockerHubMirrors.
	DockerHubCredentials awssecretsmanager.ISecret

	// BaseImageUpstreams are other registries whose images builds get through
	// pull-through caches of ECR.
	//
	// Default: none: builds pull from these registries directly.
	BaseImageUpstreams *[]*BaseImageUpstream

	// DockerHubMirrors are registries in which builds look for images of Docker
	// Hub, in order, before they ask Docker Hub itself, without an account.
	// Each is host[:port][/prefix]; library/alpine is then
	// host/prefix/library/alpine. A mirror must serve anonymous pulls, or be a
	// registry of ECR to which builds log in. An empty list means Docker Hub
	// itself, which refuses most anonymous pulls from CodeBuild's addresses,
	// because all customers share these. Remove entries that builds cannot
	// reach, because each of them is waited for if no earlier entry has the
	// image.
	//
	// If BaseImageUpstreams has the registry of an entry, builds reach the
	// entry through that cache. If there are DockerHubCredentials, the cache of
	// Docker Hub comes first and has every image, and the default is none.
	//
	// Default: public.ecr.aws/docker, then mirror.gcr.io. The first is AWS's
	// own copy of the Docker Official Images, and of nothing else. Pulls are
	// free. ECR Public serves one pull a second to an address without a login,
	// and ten a second to an account with one; builds may log in. The second is
	// Google's cache of Docker Hub, for all other images. It is free, a best
	// effort without a promise, and a third party that is trusted with what it
	// serves.
	DockerHubMirrors *[]*string

	// SourceExpiry deletes uploaded directories from the source bucket after
	// that time, 1 day or more. While an upload exists, the same directory is
	// not uploaded again. Each different upload costs its storage for that
	// long, at S3's price per GB. Builds and the administrators of the account
	// can read uploads. Callers with GrantStart cannot download them, but they
	// see which upload another build had and can build from it.
	//
	// Default: 7 days.
	SourceExpiry awscdk.Duration

	// SourceAccessLogBucket receives the source bucket's access log, under the
	// project's name. The policy of an imported bucket must let
	// logging.s3.amazonaws.com write to it.
	//
	// Default: none.
	SourceAccessLogBucket awss3.IBucket

	// SourceType is the type of the project's own source, which a build that
	// names no source uses: GITHUB, GITHUB_ENTERPRISE, GITLAB,
	// GITLAB_SELF_MANAGED, BITBUCKET, CODECOMMIT or NO_SOURCE.
	//
	// Default: GITHUB, which lets callers override the location alone.
	SourceType *string

	// SourceLocation is the https URL of the project's own source. It is
	// required for all types but GITHUB and NO_SOURCE.
	//
	// Default: buildspec.PlaceholderSource, a repository of GitHub's own
	// without a Dockerfile. Builds override it; a build that does not fails.
	// None for NO_SOURCE.
	SourceLocation *string

	// SourceConnectionArn is the literal ARN of a connection of CodeConnections
	// (or CodeStar Connections). Builds clone repositories of SourceType with
	// it. Everybody who may start builds can then build whatever the connection
	// can read.
	//
	// Default: none: builds clone with the credentials that CodeBuild has for
	// the account (aws codebuild import-source-credentials), or without a
	// login.
	SourceConnectionArn *string

	// BuildImage is the image in which builds run, for Linux on x86-64 or ARM.
	// It needs bash, git, the AWS CLI and Docker with buildx. Builds may pull
	// it from ECR. If it comes from another registry with credentials,
	// everybody who may start builds can read these, as with AllowSecret.
	//
	// Default: CodeBuild's Amazon Linux 2023 standard image 5.0 for x86-64.
	BuildImage awscodebuild.IBuildImage

	// ArmImage is the image in which builds for linux/arm64 run, on an ARM
	// machine instead of the project's. It must be one of CodeBuild's own
	// images for ARM. Package runner requests it if a request names that
	// platform. ARM machines have their own price per minute, and not every
	// region has them. An empty string means none: such builds then run on the
	// project's machine, without an emulator.
	//
	// Default: CodeBuild's Amazon Linux 2023 standard image 3.0 for ARM; none
	// if there is a BuildImage, a Fleet or a DockerServerComputeType.
	ArmImage *string

	// ComputeType is the size of the machine, which determines the price of a
	// build minute. A build can request another one.
	//
	// Default: SMALL (BUILD_GENERAL1_SMALL: 2 vCPUs).
	ComputeType awscodebuild.ComputeType

	// Timeout ends a build that runs longer, 5 minutes to 36 hours. A build can
	// request another one. The CDK's check of the template still has the former
	// limit, and warns above 8 hours.
	//
	// Default: 1 hour.
	Timeout awscdk.Duration

	// QueuedTimeout ends a build that waits longer to start, 5 minutes to 8
	// hours. A build can request another one.
	//
	// Default: 8 hours.
	QueuedTimeout awscdk.Duration

	// ConcurrentBuildLimit is the number of builds that may run at the same
	// time, 1 to 10,000, within the limits of the account. A build above it is
	// refused, not queued.
	//
	// Default: none: builds above the account's limit wait in its queue.
	ConcurrentBuildLimit *float64

	// AutoRetryLimit makes CodeBuild start a failed build again, up to that
	// many times, 0 to 10. Each retry is a build of its own, which costs as
	// much as any other. Package runner waits for the build that it started,
	// and not for its retries: it reports the failure while CodeBuild goes on.
	// Use retries for builds that nobody waits for, such as those of RebuildOn.
	//
	// Default: 0.
	AutoRetryLimit *float64

	// EnvironmentVariables are additional variables of every build, such as a
	// proxy or settings of BuildKit. RUN steps do not see them. Names of the
	// contract (docs/contract.md) are refused, and so are names that begin with
	// CODEBUILD_, which CodeBuild reserves. Do not put secrets into plain
	// values, because everybody who may see a build sees them. Builds may read
	// the parameters and secrets that variables of the other types name. If a
	// key of your own encrypts one, AllowParameter or AllowSecret is needed
	// too. Callers with GrantStart cannot change these variables.
	//
	// Default: none.
	EnvironmentVariables *map[string]*awscodebuild.BuildEnvironmentVariable

	// SsmSessionPermissions let an administrator open a shell in a running
	// build that was started with debugSessionEnabled, by Session Manager.
	// Whoever has that shell has the permissions of the builds' role.
	// docs/security.md says which permissions it takes, and which ones the role
	// gets.
	//
	// Default: false.
	SsmSessionPermissions *bool

	// Vpc is a VPC in which builds run, to reach what only that VPC can reach.
	// Its subnets need a way to ECR, S3, CloudWatch Logs, the sources, and the
	// registries of base images (those of DockerHubMirrors and Docker Hub,
	// unless there are DockerHubCredentials): a NAT gateway, or VPC endpoints
	// where there are such. Both have their own price. Through endpoints alone,
	// ECR's pull-through caches serve the images that they hold, and fetch no
	// new ones. EC2's permissions for network interfaces apply to the whole
	// account, because they have no narrower resource. A Fleet has a VPC of its
	// own.
	//
	// Default: none: builds run in a network of AWS with access to the
	// internet.
	Vpc awsec2.IVpc

	// SubnetSelection selects the subnets of the Vpc. Public subnets are
	// refused, because builds get no public address and could reach nothing
	// from there.
	//
	// Default: those with egress through NAT, otherwise isolated ones.
	SubnetSelection *awsec2.SubnetSelection

	// SecurityGroups are the security groups of builds in the Vpc, at most 5.
	//
	// Default: a new one that permits all outgoing and no incoming connections.
	SecurityGroups *[]awsec2.ISecurityGroup

	// Fleet is a fleet of reserved machines for the builds. They are paid for
	// while they are idle too. It determines the size of the machine.
	//
	// Default: none: machines on demand.
	Fleet awscodebuild.IFleet

	// DockerServerComputeType adds a Docker server of that size to the project.
	// It keeps its layers for up to a month after the last build, and all
	// builds of the project share it, so use it for builds that trust each
	// other. It is paid by the minute while builds use it, in addition to the
	// builds' own machines. Builds use the server's own configuration: mirrors
	// of base images do not apply, and caches are kept in the image instead of
	// the cache repository.
	//
	// Default: none: each build has a BuildKit of its own, which is empty at
	// first, and gets its cache from the cache repository.
	DockerServerComputeType awscodebuild.DockerServerComputeType

	// LocalCacheModes keep caches on the machine, for a build that CodeBuild
	// happens to place there again, as a best effort. SOURCE keeps the
	// repository. DOCKER_LAYER keeps the layers, and builds then use the Docker
	// daemon instead of BuildKit, as with a Docker server. CodeBuild has no
	// local caches in a Vpc.
	//
	// Default: none.
	LocalCacheModes *[]awscodebuild.LocalCacheMode

	// EncryptionKey encrypts uploaded sources and what CodeBuild keeps for a
	// project, at KMS's price per request.
	//
	// Default: none: S3's own encryption (AES256).
	EncryptionKey awskms.IKey

	// LogEncryptionKey encrypts the log group. If the key is made in this app,
	// its policy lets CloudWatch Logs use it for this group. Any other key must
	// permit that already.
	//
	// Default: none: CloudWatch Logs' own encryption.
	LogEncryptionKey awskms.IKey

	// LogBucket receives a copy of each build's log, under the project's name.
	// A bucket of another account must let the builds' role write to it, and
	// EncryptionKey must be a key with which that account can read.
	//
	// Default: none.
	LogBucket awss3.IBucket

	// LogGroupName is the name of the builds' log group, which is created.
	//
	// Default: /aws/codebuild/ and the project's name.
	LogGroupName *string

	// LogRetention is how long logs are kept; INFINITE keeps them, at
	// CloudWatch Logs' price per GB.
	//
	// Default: ONE_MONTH.
	LogRetention awslogs.RetentionDays

	// LogRemovalPolicy is applied to the log group when it leaves the stack. A
	// retained log group keeps its name: a new stack with the same name fails
	// until the group is deleted or imported.
	//
	// Default: DESTROY.
	LogRemovalPolicy awscdk.RemovalPolicy

	// OutputPrefix is put before the keys of the stack's outputs. It has
	// letters and digits. Several builders in one stack need different
	// prefixes.
	//
	// Package runner finds the only builder of a stack whatever its prefix is,
	// and one of several by the stack's name, a dot and the prefix.
	//
	// Default: none.
	OutputPrefix *string

	// StackOutputs determines whether the stack publishes the builder in its
	// outputs. Without them, the builder is found by its parameter only, so
	// there must be a ParameterName.
	//
	// Default: true.
	StackOutputs *bool

	// ParameterName is the name of a parameter of Systems Manager to create. It
	// holds the outputs as one JSON object, without their prefix. Package
	// runner accepts it instead of a stack's name, so callers need not know the
	// stack, and the stack can be renamed. It begins with a slash. Standard
	// parameters are free. Their content is not secret.
	//
	// Default: none.
	ParameterName *string
}
