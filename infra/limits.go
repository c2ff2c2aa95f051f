package infra

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
)

// StartLimits narrow what the builds that a grantee of GrantStart starts may be.
// The zero value narrows nothing. Patterns have * as their wildcard, which stands for
// any characters, slashes included.
//
// Limits keep teams apart in what they build and push. All callers of one builder
// still see the states and the logs of each other's builds, and share what its role
// may read: teams that must not need a builder each. See docs/security.md.
type StartLimits struct {
	// Repositories are the repositories that builds push to, such as "team-a/*". A
	// build of such a grantee pushes one tag: IAM compares the variable TAG as a
	// whole, and cannot look at each of several tags.
	//
	// Default: all that the builder's role may push to.
	Repositories *[]*string

	// Sources are the https URLs of the git repositories that are built, such as
	// "https://github.com/acme/*". Without a Team, no uploaded directories are built.
	//
	// Default: all that the builder's role may read.
	Sources *[]*string

	// Team has directories uploaded under sources/TEAM/, and denies builds of other
	// uploads. Callers name it too: runner.WithTeam, or flexbuild --team. It has up to
	// 32 letters, digits, - and _.
	//
	// Default: none: uploads are shared with all others who have no Team.
	Team *string

	// MaxComputeType is the largest machine that a build may ask for: SMALL, MEDIUM,
	// LARGE, X_LARGE or X2_LARGE. The project's own ComputeType must not be larger. How
	// long a build runs cannot be limited by IAM: see TimeoutInMinutes.
	//
	// Default: none: machines of any size.
	MaxComputeType awscodebuild.ComputeType
}

var (
	teamForm              = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	repositoryPatternForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._/*-]*$`)
	sourcePatternForm     = regexp.MustCompile(`^https://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/*-]*$`)
)

// machineSizes are the sizes of machines on demand, the smallest first, as the CDK
// and as CodeBuild's API call them.
var machineSizes = []awscodebuild.ComputeType{
	awscodebuild.ComputeType_SMALL, awscodebuild.ComputeType_MEDIUM, awscodebuild.ComputeType_LARGE,
	awscodebuild.ComputeType_X_LARGE, awscodebuild.ComputeType_X2_LARGE,
}

var machineNames = []string{
	"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE",
}

// validate reports all that is wrong with l. The size is the project's own, and empty
// for an imported builder.
func (l *StartLimits) validate(size awscodebuild.ComputeType) error {
	if l == nil {
		return nil
	}
	var errs []error
	for i, pattern := range values(l.Repositories) {
		errs = append(errs, checkText(fmt.Sprintf("StartLimits.Repositories[%d]", i), &pattern, repositoryPatternForm, "a repository's name, or a pattern such as team-a/*"))
	}
	for i, pattern := range values(l.Sources) {
		prop := fmt.Sprintf("StartLimits.Sources[%d]", i)
		errs = append(errs, checkText(prop, &pattern, sourcePatternForm, "an https URL, or a pattern such as https://github.com/acme/*"))
		if strings.Contains(pattern, "..") {
			errs = append(errs, problem(prop, "%q has .. in it: name the repositories themselves", pattern))
		}
	}
	errs = append(errs, checkText("StartLimits.Team", l.Team, teamForm, "up to 32 letters, digits, - and _, the first a letter or digit"))
	if l.Repositories != nil && len(*l.Repositories) == 0 {
		errs = append(errs, problem("StartLimits.Repositories", "empty: builds could push nowhere; name a repository or a pattern"))
	}
	if l.Sources != nil && len(*l.Sources) == 0 && l.Team == nil {
		errs = append(errs, problem("StartLimits.Sources", "empty without a Team: nothing could be built; name a source"))
	}
	return errors.Join(append(errs, l.validateSize(size))...)
}

func (l *StartLimits) validateSize(size awscodebuild.ComputeType) error {
	if l.MaxComputeType == "" {
		return nil
	}
	most := slices.Index(machineSizes, l.MaxComputeType)
	if most < 0 {
		return problem("StartLimits.MaxComputeType", "%q: use one of %v", l.MaxComputeType, machineSizes)
	}
	if slices.Index(machineSizes, size) > most {
		return problem("StartLimits.MaxComputeType", "%q is smaller than the project's own ComputeType %q, which builds get that ask for none: make that smaller", l.MaxComputeType, size)
	}
	return nil
}

func (l *StartLimits) mayUpload() bool { return l == nil || l.Sources == nil || l.Team != nil }

func (l *StartLimits) uploadPrefix() string {
	if l == nil || l.Team == nil {
		return sourcePrefix
	}
	return sourcePrefix + *l.Team + "/"
}

// Condition keys of what limits compare (CodeBuild user guide, "Using CodeBuild
// condition keys as IAM service control variables").
const (
	keyTag      = "codebuild:environment.environmentVariables/TAG.value"
	keyGitURL   = "codebuild:environment.environmentVariables/GIT_URL.value"
	keyLocation = "codebuild:source.location"
	keySize     = "codebuild:environment.computeType"
)

// deniedBy returns a statement for each way around the limits. A condition that
// negates holds where the key is missing too: what is not named is denied.
func (b *imageBuilder) deniedBy(limits *StartLimits) []awsiam.PolicyStatement {
	if limits == nil {
		return nil
	}
	var all []awsiam.PolicyStatement
	deny := func(conditions map[string]any) { all = append(all, b.denyStart(conditions)) }
	if limits.Repositories != nil {
		deny(map[string]any{"StringNotLike": map[string]any{keyTag: tagPatterns(values(limits.Repositories))}})
		deny(map[string]any{"StringLike": map[string]any{keyTag: "* *"}}) // another tag after one that is permitted
	}
	b.denySources(limits, deny)
	if limits.MaxComputeType != "" {
		deny(map[string]any{
			"Null":            map[string]any{keySize: "false"},
			"StringNotEquals": map[string]any{keySize: machineNames[:slices.Index(machineSizes, limits.MaxComputeType)+1]},
		})
	}
	return all
}

func (b *imageBuilder) denySources(limits *StartLimits, deny func(map[string]any)) {
	bucket := *b.sourceBucket.BucketName() + "/"
	own := bucket + limits.uploadPrefix() + "*"
	if limits.Sources == nil {
		if limits.Team != nil {
			deny(map[string]any{
				"StringLike":    map[string]any{keyLocation: "*" + bucket + "*"},
				"StringNotLike": map[string]any{keyLocation: own},
			})
		}
		return
	}
	urls := values(limits.Sources)
	locations := urls
	if limits.Team != nil {
		locations = append(slices.Clone(urls), own)
	}
	orNothing := func(patterns []string) any { // a condition needs a value
		if len(patterns) == 0 {
			return "-"
		}
		return patterns
	}
	deny(map[string]any{"StringNotLike": map[string]any{keyLocation: orNothing(locations), keyGitURL: orNothing(urls)}})
	// The script prefers GIT_URL to whatever the location is.
	deny(map[string]any{
		"Null":          map[string]any{keyGitURL: "false"},
		"StringNotLike": map[string]any{keyGitURL: orNothing(urls)},
	})
	// Clients resolve .. in a URL, written plainly or in percent escapes.
	for _, key := range []string{keyLocation, keyGitURL} {
		deny(map[string]any{"StringLike": map[string]any{key: []string{"*..*", "*%*"}}})
	}
}

// tagPatterns returns the patterns of the tags of repositories. That of a single
// repository matches it with and without a tag.
func tagPatterns(repositories []string) []string {
	var patterns []string
	for _, name := range repositories {
		patterns = append(patterns, name)
		if !strings.HasSuffix(name, "*") {
			patterns = append(patterns, name+":*")
		}
	}
	return patterns
}
