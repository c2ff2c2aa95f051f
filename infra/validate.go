package infra

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
)

// These are limits of AWS, and of what one inline policy can hold.
const (
	maxRepositories     = 30
	maxRepositoryName   = 256
	maxExclusionFilters = 5
	maxSecurityGroups   = 5
	maxParameterNames   = 2500
)

var (
	projectForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,149}$`)
	repositoryForm   = regexp.MustCompile(`^` + repositoryName + `$`)
	prefixForm       = regexp.MustCompile(`^` + repositoryName + `/$`)
	logGroupForm     = regexp.MustCompile(`^[A-Za-z0-9_./#-]{1,512}$`)
	outputPrefixForm = regexp.MustCompile(`^[A-Za-z0-9]{0,64}$`)
	parameterForm    = regexp.MustCompile(`^(/[A-Za-z0-9_.-]+){1,15}$`)
	httpsForm        = regexp.MustCompile(`^https://[^\s/@]+/\S+$`)
	armImageForm     = regexp.MustCompile(`^$|^aws/codebuild/[a-z0-9_-]*aarch64[a-z0-9_-]*:[0-9.]+$`)
	tagFilterForm    = regexp.MustCompile(`^[A-Za-z0-9_.*-]{1,128}$`)
)

const repositoryName = `[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*`

var sourceTypes = []string{
	"GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "BITBUCKET", "CODECOMMIT", noSource,
}

// Validate returns one error for everything that is wrong with p, a line for
// each prop with its value and what to write instead. It calls the CDK only for
// the length of durations.
func (p *ImageBuilderProps) Validate() error {
	if p == nil {
		return nil
	}
	return errors.Join(
		p.validateNames(),
		p.validateRole(),
		p.validateRepositories(),
		p.validateMutability(),
		p.validateLifecycle(),
		p.validatePulls(),
		p.validateCreation(),
		p.validateUpstreams(),
		p.validateMirrors(),
		p.validateSource(),
		p.validateMachine(),
		p.validateVariables(),
		p.validateEnums(),
		p.validateNumbers(),
	)
}

func (p *ImageBuilderProps) validateNames() error {
	return errors.Join(
		checkText("ProjectName", p.ProjectName, projectForm, "2 to 150 letters, digits, - and _, the first a letter or digit"),
		checkRepository("CacheRepositoryName", p.CacheRepositoryName, repositoryForm, repositoryWords),
		checkText("LogGroupName", p.LogGroupName, logGroupForm, "1 to 512 letters, digits and _ - / . #"),
		checkText("OutputPrefix", p.OutputPrefix, outputPrefixForm, "up to 64 letters and digits"),
		checkText("ParameterName", p.ParameterName, parameterForm, parameterWords),
		p.validateParameter(),
		p.validateOutputs(),
	)
}

func (p *ImageBuilderProps) validateOutputs() error {
	if !or(p.StackOutputs, true) && p.ParameterName == nil {
		return problem("StackOutputs", "false without a ParameterName: nobody could find the builder; give one")
	}
	return nil
}

// validateParameter keeps the outputs within a standard parameter: 4,096
// characters.
func (p *ImageBuilderProps) validateParameter() error {
	names := strings.Join(values(p.Repositories), ",")
	if p.ParameterName == nil || len(names) <= maxParameterNames {
		return nil
	}
	return problem("ParameterName", "the names of Repositories have %d characters, a parameter has room for %d: give them a common RepositoryPrefix", len(names), maxParameterNames)
}

func (p *ImageBuilderProps) validateRole() error {
	if p.Role != nil && p.PermissionsBoundary != nil {
		return problem("PermissionsBoundary", "given together with a Role, which has a boundary of its own: remove one of them")
	}
	return nil
}

const (
	repositoryWords = "lower-case letters and digits, with single . _ - between them, in parts separated by /"
	prefixWords     = repositoryWords + ", and a / at its end"
	parameterWords  = "a path such as /team/images, of letters, digits and . _ -"
	armImageWords   = "the name of an ARM image of CodeBuild's own, such as " + defaultArmImage
)

func (p *ImageBuilderProps) validateRepositories() error {
	var errs []error
	names := values(p.Repositories)
	for i, name := range names {
		prop := fmt.Sprintf("Repositories[%d]", i)
		errs = append(errs, checkRepository(prop, &name, repositoryForm, repositoryWords))
		if slices.Contains(names[:i], name) {
			errs = append(errs, problem(prop, "%q is there twice: remove one", name))
		}
		if name == p.cacheRepositoryName() {
			errs = append(errs, problem(prop, "%q is the repository of caches too: rename it or give a CacheRepositoryName", name))
		}
	}
	for i, repository := range or(p.ExistingRepositories, nil) {
		if repository == nil {
			errs = append(errs, problem(fmt.Sprintf("ExistingRepositories[%d]", i), "nil: give a repository or shorten the list"))
		}
	}
	if n := len(names) + len(or(p.ExistingRepositories, nil)); n > maxRepositories {
		errs = append(errs, problem("Repositories", "%d with ExistingRepositories, one policy has room for %d: give them a common RepositoryPrefix", n, maxRepositories))
	}
	if prefix := p.RepositoryPrefix; prefix != nil && *prefix != "" {
		errs = append(errs, checkRepository("RepositoryPrefix", prefix, prefixForm, prefixWords))
	} else if prefix != nil && p.namesNone() {
		errs = append(errs, problem("RepositoryPrefix", `"" with no Repositories: builds could push nowhere; name a repository or a prefix such as "team/"`))
	}
	return errors.Join(errs...)
}

// namesNone reports whether no single repository to push to is named.
func (p *ImageBuilderProps) namesNone() bool {
	return len(values(p.Repositories)) == 0 && len(or(p.ExistingRepositories, nil)) == 0
}

func (p *ImageBuilderProps) validateMutability() error {
	filters := values(p.ImageTagMutabilityExclusionFilters)
	excludes := p.ImageTagMutability == awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION ||
		p.ImageTagMutability == awsecr.TagMutability_MUTABLE_WITH_EXCLUSION
	var errs []error
	for i, filter := range filters {
		errs = append(errs, checkText(fmt.Sprintf("ImageTagMutabilityExclusionFilters[%d]", i), &filter, tagFilterForm,
			"up to 128 letters, digits and . _ - *"))
	}
	if len(filters) > maxExclusionFilters {
		errs = append(errs, problem("ImageTagMutabilityExclusionFilters", "%d patterns, ECR takes %d: merge some with *", len(filters), maxExclusionFilters))
	}
	if len(filters) > 0 && !excludes {
		errs = append(errs, problem("ImageTagMutabilityExclusionFilters", "%q need ImageTagMutability IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION, not %q", filters, p.ImageTagMutability))
	}
	if len(filters) == 0 && excludes {
		errs = append(errs, problem("ImageTagMutability", "%q excludes nothing: give ImageTagMutabilityExclusionFilters such as \"latest\"", p.ImageTagMutability))
	}
	return errors.Join(errs...)
}

func (p *ImageBuilderProps) validateLifecycle() error {
	if p.LifecyclePolicyText == nil || *p.LifecyclePolicyText == "" {
		return nil
	}
	var policy struct{ Rules []any }
	if err := json.Unmarshal([]byte(*p.LifecyclePolicyText), &policy); err != nil {
		return problem("LifecyclePolicyText", "%q: %v: write JSON", clip(*p.LifecyclePolicyText), err)
	}
	if len(policy.Rules) == 0 {
		return problem("LifecyclePolicyText", `%q has no rules: write {"rules":[…]}`, clip(*p.LifecyclePolicyText))
	}
	return nil
}

func (p *ImageBuilderProps) validatePulls() error {
	var errs []error
	for i, principal := range or(p.PullPrincipals, nil) {
		if principal == nil {
			errs = append(errs, problem(fmt.Sprintf("PullPrincipals[%d]", i), "nil: give a principal such as awsiam.NewAccountPrincipal"))
		}
	}
	return errors.Join(errs...)
}

func (p *ImageBuilderProps) validateCreation() error {
	prefix := or(p.RepositoryPrefix, "")
	byDefault := p.RepositoryPrefix == nil && p.namesNone()
	if or(p.CreateRepositoriesOnPush, false) && prefix == "" && !byDefault {
		return problem("CreateRepositoriesOnPush", "true without a RepositoryPrefix: give the prefix of the names that may be created")
	}
	return nil
}

func (p *ImageBuilderProps) validateSource() error {
	kind := or(p.SourceType, "GITHUB")
	if err := checkEnum("SourceType", kind, sourceTypes...); err != nil {
		return err
	}
	switch {
	case kind == noSource && p.SourceLocation != nil:
		return problem("SourceLocation", "%q with SourceType %s: remove one of them", *p.SourceLocation, noSource)
	case kind != noSource && kind != "GITHUB" && p.SourceLocation == nil:
		return problem("SourceLocation", "missing for SourceType %s: give the repository's https URL", kind)
	}
	return errors.Join(
		checkText("SourceLocation", p.SourceLocation, httpsForm, "an https URL without credentials"),
		p.validateConnection(kind),
	)
}

func (p *ImageBuilderProps) validateConnection(kind string) error {
	arn := p.SourceConnectionArn
	if arn != nil && slices.Contains([]string{noSource, "CODECOMMIT"}, kind) {
		return problem("SourceConnectionArn", "%q with SourceType %s, which takes none: remove it", *arn, kind)
	}
	return checkText("SourceConnectionArn", arn, connectionForm, connectionWords)
}

func (p *ImageBuilderProps) validateMachine() error {
	var errs []error
	if p.Vpc == nil && p.SubnetSelection != nil {
		errs = append(errs, problem("SubnetSelection", "given without a Vpc: give the Vpc that has them"))
	}
	if p.Vpc == nil && p.SecurityGroups != nil {
		errs = append(errs, problem("SecurityGroups", "given without a Vpc: give the Vpc that has them"))
	}
	for i, group := range or(p.SecurityGroups, nil) {
		if group == nil {
			errs = append(errs, problem(fmt.Sprintf("SecurityGroups[%d]", i), "nil: give a security group or shorten the list"))
		}
	}
	if p.Vpc != nil && p.Fleet != nil {
		errs = append(errs, problem("Vpc", "given together with a Fleet, which CodeBuild runs in a VPC of the fleet's own or in none: give the fleet the VPC"))
	}
	if p.SecurityGroups != nil && len(*p.SecurityGroups) > maxSecurityGroups {
		errs = append(errs, problem("SecurityGroups", "%d groups, CodeBuild takes %d: merge some", len(*p.SecurityGroups), maxSecurityGroups))
	}
	errs = append(errs, checkText("ArmImage", p.ArmImage, armImageForm, armImageWords))
	if or(p.ArmImage, "") != "" && (p.Fleet != nil || p.DockerServerComputeType != "") {
		errs = append(errs, problem("ArmImage", "%q with a Fleet or a DockerServerComputeType, which are of one architecture: remove one of them", *p.ArmImage))
	}
	if p.Vpc != nil && p.LocalCacheModes != nil && len(*p.LocalCacheModes) > 0 {
		errs = append(errs, problem("LocalCacheModes", "%v in a Vpc, where CodeBuild has no local cache: remove one of them", *p.LocalCacheModes))
	}
	return errors.Join(errs...)
}

func (p *ImageBuilderProps) validateNumbers() error {
	return errors.Join(
		checkDuration("UntaggedImageExpiry", p.UntaggedImageExpiry, days, 1, 36500),
		checkDuration("CacheExpiry", p.CacheExpiry, days, 1, 36500),
		checkDuration("SourceExpiry", p.SourceExpiry, days, 1, 36500),
		checkDuration("Timeout", p.Timeout, minutes, 5, 2160),
		checkDuration("QueuedTimeout", p.QueuedTimeout, minutes, 5, 480),
		checkNumber("AutoRetryLimit", p.AutoRetryLimit, 0, 10),
		checkNumber("ConcurrentBuildLimit", p.ConcurrentBuildLimit, 1, 10000),
	)
}
