package resources

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
)

// Repositories is what the ECR providers need of the engine's ECR.
type Repositories interface {
	Repository(name string) (ecr.Repository, error)
	AddRepository(ecr.Repository) (types.Repository, error)
	PutRepository(ecr.Repository) (types.Repository, error)
	RemoveRepository(name string, force bool) error
	PutRepositoryCreationTemplate(types.RepositoryCreationTemplate) error
	RemoveRepositoryCreationTemplate(prefix string) error
	PutPullThroughCacheRule(prefix string) error
	RemovePullThroughCacheRule(prefix string) error
}

// Properties that the two ECR types share.
var (
	tagMutability    = Property{Values: []string{"MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}}
	exclusionFilters = Property{Kind: List, Items: &Property{Kind: Object, Fields: map[string]Property{
		"ImageTagMutabilityExclusionFilterType":  {Required: true},
		"ImageTagMutabilityExclusionFilterValue": {Required: true},
	}}}
	repositoryEncryption = Property{
		Kind:  Object,
		Inert: "it is reported; the layers lie in the state directory, readable by its owner only",
		Fields: map[string]Property{
			"EncryptionType": {Required: true, Values: []string{"AES256", "KMS", "KMS_DSSE"}},
			"KmsKey":         {},
		},
	}
)

// filters reads exclusion filters, whose fields CloudFormation gives other
// names than ECR.
func filters(value any) []types.ImageTagMutabilityExclusionFilter {
	var filters []types.ImageTagMutabilityExclusionFilter
	for _, item := range items(value) {
		filters = append(filters, types.ImageTagMutabilityExclusionFilter{
			Filter:     aws.String(text(object(item)["ImageTagMutabilityExclusionFilterValue"])),
			FilterType: types.ImageTagMutabilityExclusionFilterType(text(object(item)["ImageTagMutabilityExclusionFilterType"])),
		})
	}
	return filters
}

// repositoryProvider is AWS::ECR::Repository.
type repositoryProvider struct{ repositories Repositories }

func (repositoryProvider) Schema() Schema {
	encryption := repositoryEncryption
	encryption.CreateOnly = true
	return Schema{
		Attributes: []string{"Arn", "RepositoryUri"},
		Properties: map[string]Property{
			"EmptyOnDelete":                      {Kind: Boolean},
			"EncryptionConfiguration":            encryption,
			"ImageScanningConfiguration":         {Kind: Object, Fields: map[string]Property{"ScanOnPush": {Kind: Boolean}}, Inert: "it is reported; images are not scanned"},
			"ImageTagMutability":                 tagMutability,
			"ImageTagMutabilityExclusionFilters": exclusionFilters,
			"LifecyclePolicy":                    {Kind: Object, Fields: map[string]Property{"LifecyclePolicyText": {}, "RegistryId": {}}},
			"RepositoryName":                     {CreateOnly: true},
			"RepositoryPolicyText":               {Kind: JSON},
			"Tags":                               tagList,
		},
	}
}

func (p repositoryProvider) Create(_ context.Context, r Request) (Resource, error) {
	repository, err := describeRepository(r, lowerName(r, "RepositoryName", 256))
	if err != nil {
		return Resource{}, err
	}
	return madeRepository(p.repositories.AddRepository(repository))
}

func (p repositoryProvider) Existing(_ context.Context, r Request) (string, bool, error) {
	return existing(r.String("RepositoryName"), func(name string) (bool, error) {
		_, err := p.repositories.Repository(name)
		return unlessNotFound[*types.RepositoryNotFoundException](err)
	})
}

func (p repositoryProvider) Update(_ context.Context, r Request, name string) (Resource, error) {
	repository, err := describeRepository(r, name)
	if err != nil {
		return Resource{}, err
	}
	return madeRepository(p.repositories.PutRepository(repository))
}

// describeRepository translates properties into ECR's terms.
func describeRepository(r Request, name string) (ecr.Repository, error) {
	settings, err := convert[types.Repository](without(r.Properties, "Tags", "ImageTagMutabilityExclusionFilters"))
	if err != nil {
		return ecr.Repository{}, err
	}
	settings.RepositoryName = &name
	settings.ImageTagMutabilityExclusionFilters = filters(r.Properties["ImageTagMutabilityExclusionFilters"])
	tags, err := convert[[]types.Tag](r.Properties["Tags"])
	repository := ecr.Repository{
		Repository:          settings,
		LifecyclePolicyText: text(object(r.Properties["LifecyclePolicy"])["LifecyclePolicyText"]),
		Tags:                tags,
	}
	if policy := r.Properties["RepositoryPolicyText"]; policy != nil {
		repository.PolicyText = string(document(policy))
	}
	return repository, err
}

func madeRepository(r types.Repository, err error) (Resource, error) {
	if err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: aws.ToString(r.RepositoryName), Attributes: map[string]any{
		"Arn":           aws.ToString(r.RepositoryArn),
		"RepositoryUri": aws.ToString(r.RepositoryUri),
	}}, nil
}

func (p repositoryProvider) Delete(_ context.Context, r Request, name string) error {
	empty, _ := r.Properties["EmptyOnDelete"].(bool)
	_, err := unlessNotFound[*types.RepositoryNotFoundException](p.repositories.RemoveRepository(name, empty))
	return err
}

// creationTemplateProvider is AWS::ECR::RepositoryCreationTemplate.
type creationTemplateProvider struct{ repositories Repositories }

func (creationTemplateProvider) Schema() Schema {
	return Schema{
		Properties: map[string]Property{
			"AppliedFor":                         {Kind: List, Required: true, Items: &Property{Values: []string{"CREATE_ON_PUSH", "PULL_THROUGH_CACHE"}}},
			"CustomRoleArn":                      {Inert: "it is reported; the engine needs no role to create repositories"},
			"Description":                        {},
			"EncryptionConfiguration":            repositoryEncryption,
			"ImageTagMutability":                 tagMutability,
			"ImageTagMutabilityExclusionFilters": exclusionFilters,
			"LifecyclePolicy":                    {},
			"Prefix":                             {Required: true, CreateOnly: true},
			"RepositoryPolicy":                   {},
			"ResourceTags":                       tagList,
		},
	}
}

func (p creationTemplateProvider) Create(ctx context.Context, r Request) (Resource, error) {
	return p.Update(ctx, r, r.String("Prefix"))
}

func (p creationTemplateProvider) Update(_ context.Context, r Request, prefix string) (Resource, error) {
	template, err := convert[types.RepositoryCreationTemplate](without(r.Properties, "Tags", "ImageTagMutabilityExclusionFilters"))
	if err != nil {
		return Resource{}, err
	}
	template.ImageTagMutabilityExclusionFilters = filters(r.Properties["ImageTagMutabilityExclusionFilters"])
	return Resource{PhysicalID: prefix}, p.repositories.PutRepositoryCreationTemplate(template)
}

func (p creationTemplateProvider) Delete(_ context.Context, _ Request, prefix string) error {
	return p.repositories.RemoveRepositoryCreationTemplate(prefix)
}

// pullThroughProvider is AWS::ECR::PullThroughCacheRule.
type pullThroughProvider struct{ repositories Repositories }

func (pullThroughProvider) Schema() Schema {
	return Schema{Properties: map[string]Property{
		"CredentialArn":            {Inert: "nothing is imported"},
		"CustomRoleArn":            {Inert: "nothing is imported"},
		"EcrRepositoryPrefix":      {CreateOnly: true},
		"UpstreamRegistry":         {CreateOnly: true},
		"UpstreamRegistryUrl":      {CreateOnly: true},
		"UpstreamRepositoryPrefix": {CreateOnly: true},
	}}
}

func (p pullThroughProvider) Create(ctx context.Context, r Request) (Resource, error) {
	return p.Update(ctx, r, r.Name("EcrRepositoryPrefix", 30))
}

func (p pullThroughProvider) Update(_ context.Context, _ Request, prefix string) (Resource, error) {
	return Resource{
		PhysicalID: prefix,
		Note:       "The local engine requires the permissions of a pull through it, and imports nothing: builds get such images from where they are.",
	}, p.repositories.PutPullThroughCacheRule(prefix)
}

func (p pullThroughProvider) Delete(_ context.Context, _ Request, prefix string) error {
	return p.repositories.RemovePullThroughCacheRule(prefix)
}
