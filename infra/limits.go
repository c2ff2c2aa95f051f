package infra

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
)

// StartLimits restrict the builds that a grantee of GrantStart may start. The
// zero value restricts nothing. In patterns, * stands for any characters,
// including slashes.
//
// Limits restrict what a team builds and where it pushes. All callers of one
// builder still see the states and the logs of each other's builds, and their
// builds can read whatever the builds' role may read. Teams that must not share
// these need a builder each. docs/security.md lists what limits do not cover.
type StartLimits struct {
	// Repositories are the repositories to which builds may push, such as
	// "team-a/*". A build of such a grantee pushes one tag, because IAM
	// compares the variable TAG as a whole and cannot look at each of several
	// tags.
	//
	// Default: all that the builds' role may push to.
	Repositories *[]*string

	// Sources are the https URLs of the git repositories that may be built,
	// such as "https://github.com/acme/*". Without a Team, uploaded directories
	// cannot be built.
	//
	// Default: all that the builds' role may read.
	Sources *[]*string

	// Team is the name of the caller's team: up to 32 letters, digits, - and _.
	// The caller may upload directories under sources/TEAM/ only, and build no
	// other uploads. Callers name the team too: runner.WithTeam, or flexbuild
	// --team.
	//
	// Default: none: uploads are shared with all other callers without a Team.
	Team *string

	// MaxComputeType is the largest machine that a build may request: SMALL,
	// MEDIUM, LARGE, X_LARGE or X2_LARGE. The project's own ComputeType must
	// not be larger. IAM cannot limit how long a build runs: see the builder's
	// Timeout.
	//
	// Default: none: machines of any size.
	MaxComputeType awscodebuild.ComputeType

	// AllowOverrides lets the caller use every override of StartBuild,
	// including the buildspec, the image and the role. Such a caller can do
	// whatever the builds' role may do. It is for administrators of the
	// builder, and cannot be combined with the other limits.
	//
	// Default: false.
	AllowOverrides *bool
}

var (
	teamForm              = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	repositoryPatternForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._/*-]*$`)
	sourcePatternForm     = regexp.MustCompile(`^https://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/*-]*$`)
)

// computeTypeNames are the names of computeTypes in CodeBuild's API.
var computeTypeNames = []string{
	"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE",
}

// validate returns an error for everything that is wrong with l. size is the
// project's own, and empty for an imported builder.
func (l *StartLimits) validate(size awscodebuild.ComputeType) error {
	if l == nil {
		return nil
	}
	var errs []error
	if l.AllowOverrides != nil && *l.AllowOverrides && *l != (StartLimits{AllowOverrides: l.AllowOverrides}) {
		errs = append(errs, problem("StartLimits.AllowOverrides", "true with other limits, which a caller could override: remove them, or AllowOverrides"))
	}
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
	const prop = "StartLimits.MaxComputeType"
	if err := checkEnum(prop, l.MaxComputeType, computeTypes...); err != nil || l.MaxComputeType == "" {
		return err
	}
	if slices.Index(computeTypes, size) > slices.Index(computeTypes, l.MaxComputeType) {
		return problem(prop, "%q is smaller than the project's own ComputeType %q, which builds get that ask for none: make that smaller", l.MaxComputeType, size)
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

// conditions are the conditions of a statement. All of them must hold.
type conditions = map[string]any

// deniedBy returns conditions for each way around the limits. A negated
// condition also holds if its key is missing, so what is not named is denied.
func (b *imageBuilder) deniedBy(limits *StartLimits) []conditions {
	if limits == nil {
		return nil
	}
	return slices.Concat(limits.otherRepositories(), b.otherUploads(limits), b.otherSources(limits), limits.largerMachines())
}

func (l *StartLimits) otherRepositories() []conditions {
	if l.Repositories == nil {
		return nil
	}
	return []conditions{
		{"StringNotLike": conditions{keyTag: tagPatterns(values(l.Repositories))}},
		{"StringLike": conditions{keyTag: "* *"}}, // another tag after one that is permitted
	}
}

func (l *StartLimits) largerMachines() []conditions {
	if l.MaxComputeType == "" {
		return nil
	}
	return []conditions{{
		"Null":            conditions{keySize: "false"},
		"StringNotEquals": conditions{keySize: computeTypeNames[:slices.Index(computeTypes, l.MaxComputeType)+1]},
	}}
}

// otherUploads returns conditions for the uploads that are not the team's. If
// there are Sources, they permit no other uploads anyway.
func (b *imageBuilder) otherUploads(l *StartLimits) []conditions {
	if l.Team == nil || l.Sources != nil {
		return nil
	}
	inBucket := "*" + *b.sourceBucket.BucketName() + "/*"
	return []conditions{
		{"StringLike": conditions{keyLocation: inBucket}, "StringNotLike": conditions{keyLocation: b.uploadsOf(l)}},
		{"StringLike": conditions{keyLocation: inBucket + "..*"}},
	}
}

func (b *imageBuilder) otherSources(l *StartLimits) []conditions {
	if l.Sources == nil {
		return nil
	}
	urls := values(l.Sources)
	if len(urls) == 0 {
		urls = []string{"-"} // a condition needs a value, and this is not a URL
	}
	locations := urls
	if l.Team != nil {
		locations = append(slices.Clone(urls), b.uploadsOf(l))
	}
	return []conditions{
		{"StringNotLike": conditions{keyLocation: locations, keyGitURL: urls}},
		// The script uses GIT_URL whatever the location is.
		{"Null": conditions{keyGitURL: "false"}, "StringNotLike": conditions{keyGitURL: urls}},
		// Clients resolve .. in a URL, whether it is written plainly or in
		// percent escapes.
		{"StringLike": conditions{keyLocation: elsewhere}},
		{"StringLike": conditions{keyGitURL: elsewhere}},
	}
}

var elsewhere = []string{"*..*", "*%*"}

// uploadsOf returns the pattern of the locations of the caller's own uploads.
func (b *imageBuilder) uploadsOf(l *StartLimits) string {
	return *b.sourceBucket.BucketName() + "/" + l.uploadPrefix() + "*"
}

// tagPatterns returns the patterns of tags for the repositories. The patterns
// for a single repository match it with and without a tag.
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
