package codebuild

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// maxBuildspec is how many characters an inline buildspec may have.
const maxBuildspec = 25_600

// sourceRules has a check of location and version for each supported type of
// source.
var sourceRules = map[types.SourceType]func(build types.Build, field fieldNames) error{
	types.SourceTypeGithub:            validateGit,
	types.SourceTypeGithubEnterprise:  validateGit,
	types.SourceTypeGitlab:            validateGit,
	types.SourceTypeGitlabSelfManaged: validateGit,
	types.SourceTypeBitbucket:         validateGit,
	types.SourceTypeCodecommit:        validateGit,
	types.SourceTypeS3:                validateS3,
	types.SourceTypeNoSource:          validateNoSource,
}

func validateSource(build types.Build, field fieldNames) error {
	rule, supported := sourceRules[build.Source.Type]
	if !supported {
		return invalid("%s %s is not supported by the local engine", field("sourceType"), build.Source.Type)
	}
	if err := validateBuildspec(build.Source, field); err != nil {
		return err
	}
	return rule(build, field)
}

// validateGit accepts any host. On AWS the type implies the host; here a local
// repository takes its place.
func validateGit(build types.Build, field fieldNames) error {
	location := aws.ToString(build.Source.Location)
	u, err := url.Parse(location)
	switch {
	case location == "":
		return invalid("Invalid project source: %s is required when the source type is %s", field("sourceLocation"), build.Source.Type)
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return invalid("Invalid project source: %s %q is not an http or https URL of a git repository", field("sourceLocation"), location)
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("Invalid project source: %s %q has a query or a fragment: give the ref as sourceVersion", field("sourceLocation"), location)
	}
	if _, secret := u.User.Password(); secret {
		return invalid("Invalid project source: %s must not contain a password", field("sourceLocation"))
	}
	return validateVersion(build)
}

// These are the forms of a source version besides a branch, a tag and a commit.
// Source: "Source version sample" of the user guide.
var (
	pullRequestVersion = regexp.MustCompile(`^(pr/[0-9]+|refs/pull/[0-9]+/head)$`)
	pinnedVersion      = regexp.MustCompile(`^refs/(heads/.+|tags/.+|pull/[0-9]+/head)\^\{([0-9a-f]{40}|[0-9a-f]{64})\}$`)
)

// validateVersion refuses the forms that AWS does not document for a type,
// because it is not known what AWS does with them.
func validateVersion(build types.Build) error {
	version, kind := aws.ToString(build.SourceVersion), build.Source.Type
	onGitHub := kind == types.SourceTypeGithub || kind == types.SourceTypeGithubEnterprise
	onGitLab := kind == types.SourceTypeGitlab || kind == types.SourceTypeGitlabSelfManaged
	switch {
	case !onGitHub && pullRequestVersion.MatchString(version):
		return invalid("Invalid source version %q: only GitHub sources have pull requests", version)
	case onGitHub && pullRequestVersion.MatchString(version), !onGitLab && pinnedVersion.MatchString(version):
		return nil
	case version == "HEAD", strings.HasPrefix(version, "refs/"):
		return invalid("Invalid source version %q: the forms that AWS documents for %s are a branch, a tag and a commit by their names", version, kind)
	}
	return nil
}

// validateGitSettings refuses settings that only a git source can have. AWS
// documents the clone depth as not supported for S3.
func validateGitSettings(build types.Build, field fieldNames) error {
	settings := []struct {
		name  string
		given bool
	}{
		{"gitCloneDepth", aws.ToInt32(build.Source.GitCloneDepth) != 0},
		{"gitSubmodulesConfig", build.Source.GitSubmodulesConfig != nil},
		{"insecureSsl", aws.ToBool(build.Source.InsecureSsl)},
	}
	for _, s := range settings {
		if s.given {
			return invalid("Invalid project source: %s is not supported when the source type is %s", field(s.name), build.Source.Type)
		}
	}
	return nil
}

func validateS3(build types.Build, field fieldNames) error {
	location := aws.ToString(build.Source.Location)
	bucket, key := S3Location(location)
	switch {
	case bucket == "" || key == "":
		return invalid("Invalid project source: %s %q is not of the form bucket/path/to/source.zip or bucket/path/to/folder/", field("sourceLocation"), location)
	case strings.HasSuffix(key, "/") && aws.ToString(build.SourceVersion) != "":
		return invalid("Invalid project source: sourceVersion must be empty when the source is a folder in S3")
	case aws.ToString(build.SourceVersion) != "":
		return invalid("sourceVersion is not supported by the local engine for S3 sources: its buckets keep no versions")
	}
	return validateGitSettings(build, field)
}

func validateNoSource(build types.Build, field fieldNames) error {
	spec := aws.ToString(build.Source.Buildspec)
	switch {
	case aws.ToString(build.SourceVersion) != "":
		return invalid("Invalid project source: sourceVersion must be empty when the source type is NO_SOURCE")
	case !InlineBuildspec(spec) && !BuildspecInS3(spec):
		return invalid("Invalid project source: %s must be an inline buildspec, or one in S3, when the source type is NO_SOURCE", field("buildspec"))
	}
	return validateGitSettings(build, field)
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
