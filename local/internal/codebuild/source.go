package codebuild

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// maxBuildspec is how many characters an inline buildspec may have.
const maxBuildspec = 25_600

// sourceRules say what each supported type of source needs of its location and version.
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

// validateGit takes any host: on AWS the type implies the host, and a local repository stands for it.
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
	if depth := build.Source.GitCloneDepth; depth != nil && *depth < 0 {
		return checkRange(field("gitCloneDepth"), depth, 0, 0)
	}
	return nil
}

func validateS3(build types.Build, field fieldNames) error {
	location := aws.ToString(build.Source.Location)
	bucket, key := S3Location(location)
	switch {
	case bucket == "" || key == "":
		return invalid("Invalid project source: %s %q is not of the form bucket/path/to/source.zip", field("sourceLocation"), location)
	case strings.HasSuffix(key, "/"):
		return invalid("%s %q names a folder, which is not supported by the local engine: upload a ZIP file", field("sourceLocation"), location)
	case aws.ToString(build.SourceVersion) != "":
		return invalid("sourceVersion is not supported by the local engine for S3 sources: its buckets keep no versions")
	case aws.ToInt32(build.Source.GitCloneDepth) != 0:
		return invalid("%s is not supported when the source type is S3", field("gitCloneDepth"))
	}
	return nil
}

func validateNoSource(build types.Build, field fieldNames) error {
	spec := aws.ToString(build.Source.Buildspec)
	switch {
	case aws.ToString(build.Source.Location) != "":
		return invalid("Invalid project source: %s must be empty when the source type is NO_SOURCE", field("sourceLocation"))
	case aws.ToString(build.SourceVersion) != "":
		return invalid("Invalid project source: sourceVersion must be empty when the source type is NO_SOURCE")
	case !InlineBuildspec(spec):
		return invalid("Invalid project source: %s must be an inline buildspec when the source type is NO_SOURCE", field("buildspec"))
	}
	return nil
}

func validateBuildspec(source *types.ProjectSource, field fieldNames) error {
	spec := aws.ToString(source.Buildspec)
	if strings.HasPrefix(spec, "arn:") {
		return invalid("%s in a bucket is not supported by the local engine: give it inline, or as a path in the source", field("buildspec"))
	}
	if n := utf8.RuneCountInString(spec); n > maxBuildspec {
		return invalid("%s has %d characters; at most %d are allowed inline", field("buildspec"), n, maxBuildspec)
	}
	return nil
}

// S3Location splits an S3 source's location, "bucket/key"; AWS also takes it as an ARN.
func S3Location(location string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(location, "arn:aws:s3:::"), "/")
	return bucket, key
}

// InlineBuildspec tells a buildspec's text from the path of a file in the source: text has several lines, or is a YAML
// mapping on one.
func InlineBuildspec(spec string) bool {
	return strings.Contains(spec, "\n") || strings.Contains(spec, ": ") || strings.HasPrefix(strings.TrimSpace(spec), "{")
}
