package codebuild

import (
	"math"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// maxBuildspec is how many characters an inline buildspec may have.
const maxBuildspec = 25_600

// maxSecondary is how many secondary sources, and how many secondary artifacts,
// a build may have. Source: "Quotas for AWS CodeBuild" of the user guide.
const maxSecondary = 12

// A Source is one of the sources of a build, with its version.
type Source struct {
	types.ProjectSource
	Version string // "" for the newest
}

// Sources returns the sources of a build, the primary one first.
func Sources(build types.Build) []Source {
	all := []Source{{*build.Source, aws.ToString(build.SourceVersion)}}
	for _, s := range build.SecondarySources {
		version := ""
		for _, v := range build.SecondarySourceVersions {
			if aws.ToString(v.SourceIdentifier) == aws.ToString(s.SourceIdentifier) {
				version = aws.ToString(v.SourceVersion)
			}
		}
		all = append(all, Source{s, version})
	}
	return all
}

// sourceRules has a check of location and version for each supported type of
// source.
var sourceRules = map[types.SourceType]func(s Source, field fieldNames) error{
	types.SourceTypeGithub:            validateGit,
	types.SourceTypeGithubEnterprise:  validateGit,
	types.SourceTypeGitlab:            validateGit,
	types.SourceTypeGitlabSelfManaged: validateGit,
	types.SourceTypeBitbucket:         validateGit,
	types.SourceTypeCodecommit:        validateGit,
	types.SourceTypeS3:                validateS3,
	types.SourceTypeNoSource:          validateNoSource,
}

// validateSources checks the sources of a build. The buildspec is that of the
// primary source. A secondary one's is not used, as on AWS.
func validateSources(build types.Build, field fieldNames) error {
	if err := validateIdentifiers(build); err != nil {
		return err
	}
	if err := validateBuildspec(build.Source, field); err != nil {
		return err
	}
	for i, s := range Sources(build) {
		names := field
		if i > 0 {
			if s.Type == types.SourceTypeNoSource && aws.ToString(s.Location) != "" {
				return noLocation("location of the secondary source " + *s.SourceIdentifier)
			}
			names = func(setting string) string { return setting + " of the secondary source " + *s.SourceIdentifier }
		}
		if err := validateSource(s, names); err != nil {
			return err
		}
	}
	return nil
}

var identifier = lazyregexp.New(`^[A-Za-z0-9_]{1,127}$`)

// checkIdentifier refuses identifiers that AWS refuses, in AWS's words.
func checkIdentifier(id *string) error {
	if !identifier().MatchString(aws.ToString(id)) {
		return invalid("Invalid input: identifier must contain only alphanumeric characters and underscores and be less than 128 characters in length: %q", aws.ToString(id))
	}
	return nil
}

// validateIdentifiers wants each secondary source to have an identifier of its
// own, and each version to be that of a secondary source.
func validateIdentifiers(build types.Build) error {
	if n := len(build.SecondarySources); n > maxSecondary {
		return invalid("Invalid project source: there are %d secondary sources; at most %d are allowed", n, maxSecondary)
	}
	versions := map[string]int{} // how many more a source may have
	for _, s := range build.SecondarySources {
		if err := checkIdentifier(s.SourceIdentifier); err != nil {
			return err
		}
		if _, twice := versions[*s.SourceIdentifier]; twice {
			return invalid("Invalid project source: two secondary sources have the identifier %s", *s.SourceIdentifier)
		}
		versions[*s.SourceIdentifier] = 1
	}
	for _, v := range build.SecondarySourceVersions {
		id := aws.ToString(v.SourceIdentifier)
		if versions[id]--; versions[id] < 0 {
			return invalid("Invalid project source: the identifier %q of a secondary source version must be that of one secondary source, and of no other version", id)
		}
	}
	return nil
}

func validateSource(s Source, field fieldNames) error {
	rule, supported := sourceRules[s.Type]
	if !supported {
		return invalid("%s %s is not supported by the local engine", field("sourceType"), s.Type)
	}
	for _, err := range []error{
		refuse(unsupportedSourceSettings, s.ProjectSource),
		validateAuth(s.Auth),
		checkRange(field("gitCloneDepth"), s.GitCloneDepth, 0, math.MaxInt32),
		rule(s, field),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// validateGit accepts any host. On AWS the type implies the host; here a local
// repository takes its place.
func validateGit(s Source, field fieldNames) error {
	location := aws.ToString(s.Location)
	u, err := url.Parse(location)
	switch {
	case location == "":
		return invalid("Invalid project source: %s is required when the source type is %s", field("sourceLocation"), s.Type)
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return invalid("Invalid project source: %s %q is not an http or https URL of a git repository", field("sourceLocation"), location)
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("Invalid project source: %s %q has a query or a fragment: give the ref as sourceVersion", field("sourceLocation"), location)
	}
	if _, secret := u.User.Password(); secret {
		return invalid("Invalid project source: %s must not contain a password", field("sourceLocation"))
	}
	return validateVersion(s)
}

// These are the forms of a source version besides a branch, a tag and a commit.
// Source: "Source version sample" of the user guide.
var (
	pullRequestVersion = lazyregexp.New(`^(pr/[0-9]+|refs/pull/[0-9]+/head)$`)
	pinnedVersion      = lazyregexp.New(`^refs/(heads/.+|tags/.+|pull/[0-9]+/head)\^\{([0-9a-f]{40}|[0-9a-f]{64})\}$`)
)

// validateVersion refuses the forms that AWS does not document for a type,
// because it is not known what AWS does with them.
func validateVersion(s Source) error {
	version, kind := s.Version, s.Type
	onGitHub := kind == types.SourceTypeGithub || kind == types.SourceTypeGithubEnterprise
	onGitLab := kind == types.SourceTypeGitlab || kind == types.SourceTypeGitlabSelfManaged
	switch {
	case !onGitHub && pullRequestVersion().MatchString(version):
		return invalid("Invalid source version %q: only GitHub sources have pull requests", version)
	case onGitHub && pullRequestVersion().MatchString(version), !onGitLab && pinnedVersion().MatchString(version):
		return nil
	case version == "HEAD", strings.HasPrefix(version, "refs/"):
		return invalid("Invalid source version %q: the forms that AWS documents for %s are a branch, a tag and a commit by their names", version, kind)
	}
	return nil
}

// validateGitSettings refuses settings that only a git source can have. AWS
// documents the clone depth as not supported for S3.
func validateGitSettings(s Source, field fieldNames) error {
	settings := []struct {
		name  string
		given bool
	}{
		{"gitCloneDepth", aws.ToInt32(s.GitCloneDepth) != 0},
		{"gitSubmodulesConfig", s.GitSubmodulesConfig != nil},
		{"insecureSsl", aws.ToBool(s.InsecureSsl)},
	}
	for _, setting := range settings {
		if setting.given {
			return invalid("Invalid project source: %s is not supported when the source type is %s", field(setting.name), s.Type)
		}
	}
	return nil
}

func validateS3(s Source, field fieldNames) error {
	location := aws.ToString(s.Location)
	bucket, key := S3Location(location)
	switch {
	case bucket == "" || key == "":
		return invalid("Invalid project source: %s %q is not of the form bucket/path/to/source.zip or bucket/path/to/folder/", field("sourceLocation"), location)
	case strings.HasSuffix(key, "/") && s.Version != "":
		return invalid("Invalid project source: sourceVersion must be empty when the source is a folder in S3")
	}
	return validateGitSettings(s, field)
}

func validateNoSource(s Source, field fieldNames) error {
	if s.Version != "" {
		return invalid("Invalid project source: sourceVersion must be empty when the source type is NO_SOURCE")
	}
	return validateGitSettings(s, field)
}

// noLocation refuses a location that was given with NO_SOURCE. One that was
// inherited is ignored: else no project with a location could run a build
// without a source.
func noLocation(field string) error {
	return invalid("Invalid project source: %s must be empty when the source type is NO_SOURCE", field)
}

func validateBuildspec(source *types.ProjectSource, field fieldNames) error {
	spec := aws.ToString(source.Buildspec)
	if strings.HasPrefix(spec, "arn:") && !BuildspecInS3(spec) {
		return invalid("%s %q is not of the form arn:aws:s3:::bucket/path/to/buildspec.yml", field("buildspec"), spec)
	}
	if source.Type == types.SourceTypeNoSource && !InlineBuildspec(spec) && !BuildspecInS3(spec) {
		return invalid("Invalid project source: %s must be an inline buildspec, or one in S3, when the source type is NO_SOURCE", field("buildspec"))
	}
	if n := utf8.RuneCountInString(spec); n > maxBuildspec {
		return invalid("%s has %d characters; at most %d are allowed inline", field("buildspec"), n, maxBuildspec)
	}
	return nil
}

// S3Location splits an S3 source's location, "bucket/key"; AWS also takes it as
// an ARN.
func S3Location(location string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(location, "arn:aws:s3:::"), "/")
	return bucket, key
}

// BuildspecInS3 reports whether a buildspec is the ARN of an object. Source:
// ProjectSource of the API reference.
func BuildspecInS3(spec string) bool {
	bucket, key := S3Location(spec)
	return strings.HasPrefix(spec, "arn:aws:s3:::") && bucket != "" && key != "" && !strings.HasSuffix(key, "/") && !InlineBuildspec(spec)
}

// InlineBuildspec distinguishes a buildspec's text from the path of a file in
// the source: text has several lines, or is a YAML mapping on one.
func InlineBuildspec(spec string) bool {
	return strings.Contains(spec, "\n") || strings.Contains(spec, ": ") || strings.HasPrefix(strings.TrimSpace(spec), "{")
}
