package infra

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// BaseImageUpstream is a registry whose images builds get through a
// pull-through cache of ECR. ECR has no such caches in China and in GovCloud.
type BaseImageUpstream struct {
	// Registry is the host in the names of the images: quay.io, ghcr.io,
	// registry.k8s.io, registry.gitlab.com, cgr.dev or public.ecr.aws. Docker
	// Hub is configured by DockerHubCredentials.
	Registry *string

	// Credentials are a secret with the keys username and accessToken. ECR
	// reads it only if its name begins with ecr-pullthroughcache/, it lies in
	// the stack's own account and region, and it is encrypted with the key of
	// Secrets Manager itself. They are required for ghcr.io,
	// registry.gitlab.com and cgr.dev. ECR takes none for the others.
	//
	// Default: none.
	Credentials awssecretsmanager.ISecret
}

// upstream is a registry that ECR can cache.
type upstream struct {
	host        string // in the names of images
	name        string // ECR's name of the registry
	url         string
	prefix      string // of the cached repositories, after the builder's prefix
	credentials bool   // whether ECR needs credentials; otherwise it takes none
}

const (
	dockerHub = "docker.io"
	ecrPublic = "public.ecr.aws"
)

var upstreams = []upstream{
	{dockerHub, "docker-hub", "registry-1.docker.io", "docker-hub", true},
	{"quay.io", "quay", "quay.io", "quay", false},
	{"ghcr.io", "github-container-registry", "ghcr.io", "github", true},
	{"registry.k8s.io", "k8s", "registry.k8s.io", "k8s", false},
	{"registry.gitlab.com", "gitlab-container-registry", "registry.gitlab.com", "gitlab", true},
	{"cgr.dev", "chainguard", "cgr.dev", "chainguard", true},
	{ecrPublic, "ecr-public", "public.ecr.aws", "ecr-public", false},
}

func upstreamOf(host string) (upstream, bool) {
	i := slices.IndexFunc(upstreams, func(u upstream) bool { return u.host == host })
	if i < 0 {
		return upstream{}, false
	}
	return upstreams[i], true
}

func (p *ImageBuilderProps) validateUpstreams() error {
	var errs []error
	seen := map[string]bool{dockerHub: true}
	for i, given := range or(p.BaseImageUpstreams, nil) {
		prop := fmt.Sprintf("BaseImageUpstreams[%d]", i)
		host := or(or(given, BaseImageUpstream{}).Registry, "")
		known, ok := upstreamOf(host)
		switch {
		case host == dockerHub:
			errs = append(errs, problem(prop, "%q: give DockerHubCredentials instead", host))
		case !ok:
			errs = append(errs, problem(prop, "%q: use one of %s", host, strings.Join(otherUpstreams(), ", ")))
		case seen[host]:
			errs = append(errs, problem(prop, "%q is there twice: remove one", host))
		case known.credentials && given.Credentials == nil:
			errs = append(errs, problem(prop, "%q without Credentials, which ECR needs for it: give a secret whose name begins with ecr-pullthroughcache/", host))
		case !known.credentials && given.Credentials != nil:
			errs = append(errs, problem(prop, "%q with Credentials, which ECR does not take for it: remove them", host))
		}
		seen[host] = true
	}
	return errors.Join(errs...)
}

func otherUpstreams() []string {
	var hosts []string
	for _, known := range upstreams[1:] {
		hosts = append(hosts, known.host)
	}
	return hosts
}

var mirrorForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/` + repositoryName + `)?$`)

const mirrorWords = "host[:port][/prefix] of a registry, such as mirror.gcr.io, without https:// and without a / at its end"

func (p *ImageBuilderProps) validateMirrors() error {
	var errs []error
	mirrors := values(p.DockerHubMirrors)
	for i, mirror := range mirrors {
		prop := fmt.Sprintf("DockerHubMirrors[%d]", i)
		host, _, _ := strings.Cut(mirror, "/")
		switch {
		case slices.Contains(dockerHubHosts, host):
			errs = append(errs, problem(prop, "%q is Docker Hub itself, which builds turn to after all mirrors: remove it", mirror))
		case slices.Contains(mirrors[:i], mirror):
			errs = append(errs, problem(prop, "%q is there twice: remove one", mirror))
		default:
			errs = append(errs, checkText(prop, &mirror, mirrorForm, mirrorWords))
		}
	}
	return errors.Join(errs...)
}

// dockerHubHosts are the names of Docker Hub's registry.
var dockerHubHosts = []string{dockerHub, "registry-1.docker.io", "index.docker.io", "registry.hub.docker.com"}

// upstreams returns all requested upstreams, Docker Hub's first.
func (p *ImageBuilderProps) upstreams() []*BaseImageUpstream {
	given := or(p.BaseImageUpstreams, nil)
	if p.DockerHubCredentials == nil {
		return given
	}
	return append([]*BaseImageUpstream{{Registry: jsii.String(dockerHub), Credentials: p.DockerHubCredentials}}, given...)
}

// addUpstreams adds the caches, and lets builds pull through them. The first
// pull of an image creates its repository and fills it.
func (b *imageBuilder) addUpstreams() {
	given := b.props.upstreams()
	must(b.checkUpstreamRegion(len(given)))
	for _, one := range given {
		known, _ := upstreamOf(*one.Registry)
		prefix := upstreamPrefix(*b.props.ProjectName, known)
		b.addUpstream(known, prefix, one.Credentials)
		b.addMirror(known.host, b.inRegistry(prefix))
	}
}

// addDockerHubMirrors adds the mirrors of DockerHubMirrors, after the cache of
// Docker Hub if there is one. A mirror in a registry that has a cache is
// reached through that cache.
func (b *imageBuilder) addDockerHubMirrors() {
	for _, mirror := range values(b.props.DockerHubMirrors) {
		host, path, _ := strings.Cut(mirror, "/")
		if known, cached := b.cached(host); cached {
			prefix := upstreamPrefix(*b.props.ProjectName, known)
			mirror = b.inRegistry(strings.TrimSuffix(prefix+"/"+path, "/"))
		}
		b.addMirror(dockerHub, mirror)
	}
}

// cached returns the upstream with the given host if builds get its images
// through a cache.
func (b *imageBuilder) cached(host string) (upstream, bool) {
	has := slices.ContainsFunc(b.props.upstreams(), func(u *BaseImageUpstream) bool { return *u.Registry == host })
	if !has {
		return upstream{}, false
	}
	return upstreamOf(host)
}

func (b *imageBuilder) addUpstream(known upstream, prefix string, credentials awssecretsmanager.ISecret) {
	must(checkUpstreamSecret(known.host, credentials))
	props := &awsecr.CfnPullThroughCacheRuleProps{
		EcrRepositoryPrefix: &prefix,
		UpstreamRegistry:    jsii.String(known.name),
		UpstreamRegistryUrl: jsii.String(known.url),
	}
	if credentials != nil {
		props.CredentialArn = credentials.SecretArn()
	}
	awsecr.NewCfnPullThroughCacheRule(b, jsii.String("Upstream-"+known.prefix), props)
	b.addUpstreamTemplate(known, prefix)
	b.permitOn(b.arn("ecr", "repository", prefix+"/*"),
		slices.Concat(pullActions, []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"})...)
}

// upstreamExpiryInDays is how long a cache keeps an image that its upstream has
// replaced. ECR fetches the image again if its digest is pulled.
const upstreamExpiryInDays = 14

// addUpstreamTemplate makes the cache delete images that the upstream has
// replaced. Without it, the cache keeps every version of every image.
func (b *imageBuilder) addUpstreamTemplate(known upstream, prefix string) {
	props := &awsecr.CfnRepositoryCreationTemplateProps{
		AppliedFor:         jsii.Strings("PULL_THROUGH_CACHE"),
		Prefix:             &prefix,
		Description:        jsii.String("Images of " + known.host + " that image builds pulled"),
		ImageTagMutability: jsii.String(string(awsecr.TagMutability_MUTABLE)),
		LifecyclePolicy:    jsii.String(untaggedExpiry(upstreamExpiryInDays)),
	}
	b.newCreationTemplate("UpstreamTemplate-"+known.prefix, props)
}

func (b *imageBuilder) addMirror(host, mirror string) {
	b.mirrors = append(b.mirrors, host+"="+mirror)
}

// inRegistry returns a path in the stack's own registry, as in the names of
// images.
func (b *imageBuilder) inRegistry(path string) string {
	return *b.registry() + "/" + path
}

// checkUpstreamRegion refuses regions in which ECR has no such caches, if the
// stack's region is known before deployment.
func (b *imageBuilder) checkUpstreamRegion(upstreams int) error {
	if upstreams == 0 || !b.isInOtherPartition() {
		return nil
	}
	return problem("BaseImageUpstreams, DockerHubCredentials", "ECR has no pull-through caches in %s: remove them", *awscdk.Stack_Of(b).Region())
}

// isInOtherPartition reports whether the stack's region is known before
// deployment and lies in China or in GovCloud. These have neither pull-through
// caches nor ECR Public's API.
func (b *imageBuilder) isInOtherPartition() bool {
	region := awscdk.Stack_Of(b).Region()
	return !*awscdk.Token_IsUnresolved(region) && otherPartitions.MatchString(*region)
}

var otherPartitions = regexp.MustCompile(`^(cn|us-gov)-`)

// publicLogin lets builds log in to ECR Public. Without a login, all who share
// an address share its limit. The permission is also added if the region is not
// known yet. It permits nothing where AWS has no ECR Public.
func (b *imageBuilder) publicLogin() []awsiam.PolicyStatement {
	if b.isInOtherPartition() {
		return nil
	}
	bearer := allow([]*string{jsii.String("*")}, "sts:GetServiceBearerToken")
	bearer.AddCondition(jsii.String("StringEquals"), map[string]any{"sts:AWSServiceName": "ecr-public.amazonaws.com"})
	// Neither action has a narrower resource.
	return []awsiam.PolicyStatement{allow([]*string{jsii.String("*")}, "ecr-public:GetAuthorizationToken"), bearer}
}

const upstreamSecretPrefix = "ecr-pullthroughcache/"

// checkUpstreamSecret returns an error for a secret's name that ECR would
// refuse, if the name is known before deployment.
func checkUpstreamSecret(host string, secret awssecretsmanager.ISecret) error {
	if secret == nil {
		return nil
	}
	name := secret.SecretName()
	if *awscdk.Token_IsUnresolved(name) || strings.HasPrefix(*name, upstreamSecretPrefix) {
		return nil
	}
	return problem("credentials of "+host, "the secret %q: ECR reads only those whose name begins with %s: give it such a name", *name, upstreamSecretPrefix)
}

// upstreamPrefix returns a prefix of the builder's own, so that builders of one
// account do not share caches. No images are pushed under it. ECR accepts 30
// characters.
func upstreamPrefix(project string, known upstream) string {
	const most = 30 - len("-docker-hub")
	name := repositoryNameOf(project)
	if len(name) > most {
		hash := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%s-%x", strings.TrimRight(name[:most-9], "-"), hash[:4])
	}
	return name + "-" + known.prefix
}

// AllowPush grants what a push needs, less the login, which builds have for
// every registry of ECR.
func (b *imageBuilder) AllowPush(repository awsecr.IRepository) {
	if b.isHere(repository) {
		panic(problem("AllowPush", "%s is of the builder's own account and region: give it as one of ExistingRepositories", *repository.RepositoryArn()))
	}
	b.permitOn(repository.RepositoryArn(), slices.Concat(pullActions, pushActions, describeActions)...)
}

// AllowBaseImages also makes builds log in to the repository's registry, if
// that is not the stack's own.
func (b *imageBuilder) AllowBaseImages(repository awsecr.IRepository) {
	b.permitOn(repository.RepositoryArn(), pullActions...)
	registry := *repository.RegistryUri()
	if b.isHere(repository) || slices.Contains(b.baseRegistries, registry) {
		return
	}
	b.baseRegistries = append(b.baseRegistries, registry)
	// The project exists already, so its list of variables gets one more.
	b.project.Node().DefaultChild().(awscodebuild.CfnProject).AddPropertyOverride(
		jsii.String(fmt.Sprintf("Environment.EnvironmentVariables.%d", len(*b.variables()))),
		map[string]any{
			"Name":  buildspec.VarBaseRegistries,
			"Type":  "PLAINTEXT",
			"Value": awscdk.Fn_Join(jsii.String(" "), jsii.Strings(b.baseRegistries...)),
		})
}
