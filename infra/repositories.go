package infra

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// newRepositories adds the declared repositories and returns them with the
// existing ones. Their construct ids contain their names, so that another order
// of the list changes nothing.
func (b *imageBuilder) newRepositories() []awsecr.IRepository {
	var all []awsecr.IRepository
	for _, name := range values(b.props.Repositories) {
		all = append(all, b.newRepository(name))
		b.names = append(b.names, name)
	}
	for i, repository := range or(b.props.ExistingRepositories, nil) {
		if b.cannotCompare(repository) {
			panic(problem(fmt.Sprintf("ExistingRepositories[%d]", i), "%s names an account and a region, and the stack has none until it is deployed, so that the two cannot be compared: give the stack an Env, or import the repository by its name", *repository.RepositoryArn()))
		}
		if !b.isHere(repository) {
			panic(problem(fmt.Sprintf("ExistingRepositories[%d]", i), "%s is of another account or region: leave it out, and allow it with AllowPush", *repository.RepositoryArn()))
		}
		all = append(all, repository)
		b.names = append(b.names, *repository.RepositoryName())
	}
	return all
}

// isHere reports whether a repository is in the stack's own registry.
func (b *imageBuilder) isHere(repository awsecr.IRepository) bool {
	stack, env := awscdk.Stack_Of(b), repository.Env()
	return *env.Account == *stack.Account() && *env.Region == *stack.Region()
}

// cannotCompare reports whether the repository's account or region is known and
// the stack's is not, because the stack has no environment.
func (b *imageBuilder) cannotCompare(repository awsecr.IRepository) bool {
	stack, env := awscdk.Stack_Of(b), repository.Env()
	unknown := func(own, other *string) bool {
		return *awscdk.Token_IsUnresolved(own) && !*awscdk.Token_IsUnresolved(other)
	}
	return unknown(stack.Account(), env.Account) || unknown(stack.Region(), env.Region)
}

func (b *imageBuilder) newRepository(name string) awsecr.Repository {
	props := &awsecr.RepositoryProps{
		RepositoryName:                     jsii.String(name),
		ImageScanOnPush:                    b.props.ImageScanOnPush,
		ImageTagMutability:                 b.props.ImageTagMutability,
		ImageTagMutabilityExclusionFilters: b.exclusionFilters(),
		RemovalPolicy:                      b.props.RepositoryRemovalPolicy,
		EmptyOnDelete:                      b.emptyOnDelete(),
	}
	if key := b.props.RepositoryEncryptionKey; key != nil {
		props.EncryptionKey = key
	}
	repository := awsecr.NewRepository(b, jsii.String(fmt.Sprintf("Repository-%s", name)), props)
	setLifecycle(repository, *b.props.LifecyclePolicyText)
	for _, statement := range b.pullStatements() {
		repository.AddToResourcePolicy(statement)
	}
	return repository
}

// pullStatements returns the statements of a repository's own policy for
// PullPrincipals. Each principal has one, because a principal can have
// conditions.
func (b *imageBuilder) pullStatements() []awsiam.PolicyStatement {
	var all []awsiam.PolicyStatement
	for _, principal := range or(b.props.PullPrincipals, nil) {
		all = append(all, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:    jsii.Strings(pullActions...),
			Principals: &[]awsiam.IPrincipal{principal},
		}))
	}
	return all
}

func (b *imageBuilder) exclusionFilters() *[]awsecr.ImageTagMutabilityExclusionFilter {
	var filters []awsecr.ImageTagMutabilityExclusionFilter
	for _, pattern := range values(b.props.ImageTagMutabilityExclusionFilters) {
		filters = append(filters, awsecr.ImageTagMutabilityExclusionFilter_Wildcard(jsii.String(pattern)))
	}
	if filters == nil {
		return nil
	}
	return &filters
}

func (p *ImageBuilderProps) untaggedExpiry() string {
	if p.UntaggedImageExpiry == nil {
		return ""
	}
	return untaggedExpiry(days.in(p.UntaggedImageExpiry))
}

// untaggedExpiry deletes only untagged images. Rules that count images would
// delete images that deployments name by their digest.
func untaggedExpiry(days float64) string {
	return lifecyclePolicy(expiry{"Untagged images expire", "untagged", days})
}

// cacheExpiry deletes a cache that many days after its push, and one that a
// newer cache has replaced after a day. ECR cannot delete images by the time of
// their last pull: it refuses sinceImagePulled with the action expire. So
// builds push a cache that they use again before it expires.
func cacheExpiry(days float64) string {
	return lifecyclePolicy(expiry{"Replaced caches expire", "untagged", 1}, expiry{"Caches expire", "any", days})
}

// expiry is a rule of a lifecycle policy: images with the tag status are
// deleted that many days after their push.
type expiry struct {
	description, tagStatus string
	days                   float64
}

// lifecyclePolicy returns a policy with the rules, in JSON. A rule for any tag
// status must be the last one.
func lifecyclePolicy(rules ...expiry) string {
	texts := make([]string, len(rules))
	for i, rule := range rules {
		texts[i] = fmt.Sprintf(`{"rulePriority":%d,"description":%q,`+
			`"selection":{"tagStatus":%q,"countType":"sinceImagePushed","countNumber":%v,"countUnit":"days"},`+
			`"action":{"type":"expire"}}`, i+1, rule.description, rule.tagStatus, rule.days)
	}
	return `{"rules":[` + strings.Join(texts, ",") + `]}`
}

// emptyOnDelete makes DESTROY work, because ECR deletes only empty
// repositories.
func (b *imageBuilder) emptyOnDelete() *bool {
	if b.props.RepositoryRemovalPolicy == awscdk.RemovalPolicy_DESTROY {
		return jsii.Bool(true)
	}
	return nil
}

// newCacheRepository adds the repository of build caches. Its tags are mutable,
// whatever those of images are, because a build writes its cache to the same
// tag again and again. It is deleted with the stack, because a cache can be
// made again.
func (b *imageBuilder) newCacheRepository() awsecr.Repository {
	props := &awsecr.RepositoryProps{
		RepositoryName:     b.props.CacheRepositoryName,
		ImageTagMutability: awsecr.TagMutability_MUTABLE,
		RemovalPolicy:      awscdk.RemovalPolicy_DESTROY,
		EmptyOnDelete:      jsii.Bool(true),
	}
	if key := b.props.RepositoryEncryptionKey; key != nil {
		props.EncryptionKey = key // a cache contains the layers of images
	}
	repository := awsecr.NewRepository(b, jsii.String("CacheRepository"), props)
	setLifecycle(repository, cacheExpiry(days.in(b.props.CacheExpiry)))
	return repository
}

func setLifecycle(repository awsecr.Repository, text string) {
	if text == "" {
		return
	}
	resource := repository.Node().DefaultChild().(awsecr.CfnRepository)
	resource.SetLifecyclePolicy(&awsecr.CfnRepository_LifecyclePolicyProperty{LifecyclePolicyText: &text})
}

// registry returns the host of the registry. It comes from ECR itself, so it is
// right in every partition.
func (b *imageBuilder) registry() *string {
	cache := b.cacheRepository.Node().DefaultChild().(awsecr.CfnRepository)
	return awscdk.Fn_Select(jsii.Number(0), awscdk.Fn_Split(jsii.String("/"), cache.AttrRepositoryUri(), nil))
}
