package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
)

// systemPath is the PATH of a machine's programs. That of a build image is
// similar.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the environment of a build's commands, without anything
// of the engine's own environment. Values are literal. Later ones win: those of
// the machine, the buildspec, the project and the call, and CodeBuild itself.
func (b *build) environment(requested map[string]string) map[string]string {
	variables := map[string]string{
		"PATH":               b.path(),
		"HOME":               b.folder.home(),
		"TMPDIR":             b.folder.temporary(),
		"DOCKER_CONFIG":      filepath.Join(b.folder.home(), ".docker"),
		"LANG":               "C.UTF-8",
		"AWS_REGION":         b.AWS.Region,
		"AWS_DEFAULT_REGION": b.AWS.Region,
		"AWS_ENDPOINT_URL":   *b.AWS.BaseEndpoint,
	}
	maps.Copy(variables, b.tools.Environment)
	maps.Copy(variables, b.variables)
	maps.Copy(variables, requested)
	maps.Copy(variables, b.codebuildVariables())
	return variables
}

// codebuildVariables returns the variables that CodeBuild sets. Source:
// "Environment variables in build environments" of its guide; CODEBUILD_CI was
// seen in real builds. CODEBUILD_BUILD_SUCCEEDING is set for each command.
func (b *build) codebuildVariables() map[string]string {
	_, stream, _ := codebuild.LogStream(b.document)
	variables := map[string]string{
		"CODEBUILD_BUILD_ARN":               *b.document.Arn,
		"CODEBUILD_BUILD_ID":                *b.document.Id,
		"CODEBUILD_BUILD_IMAGE":             aws.ToString(b.document.Environment.Image),
		"CODEBUILD_BUILD_NUMBER":            strconv.FormatInt(aws.ToInt64(b.document.BuildNumber), 10),
		"CODEBUILD_CI":                      "true",
		"CODEBUILD_INITIATOR":               aws.ToString(b.document.Initiator),
		"CODEBUILD_KMS_KEY_ID":              aws.ToString(b.document.EncryptionKey),
		"CODEBUILD_LOG_PATH":                stream,
		"CODEBUILD_PROJECT_ARN":             b.projectARN(),
		"CODEBUILD_RESOLVED_SOURCE_VERSION": aws.ToString(b.document.ResolvedSourceVersion),
		"CODEBUILD_SOURCE_REPO_URL":         b.sourceURL(),
		"CODEBUILD_SOURCE_VERSION":          aws.ToString(b.document.SourceVersion),
		"CODEBUILD_START_TIME":              strconv.FormatInt(b.document.StartTime.UnixMilli(), 10),
	}
	for name, value := range variables {
		if value == "" {
			delete(variables, name)
		}
	}
	for _, in := range b.inputs() {
		variables[in.variable("CODEBUILD_SRC_DIR")] = in.dir
	}
	return variables
}

// path returns the PATH of a build.
func (b *build) path() string {
	return strings.Join(append(slices.Clone(b.tools.Path), systemPath), string(os.PathListSeparator))
}

func (b *build) sourceURL() string {
	location := aws.ToString(b.document.Source.Location)
	if b.document.Source.Type == types.SourceTypeS3 {
		return "s3://" + strings.TrimPrefix(location, "arn:aws:s3:::")
	}
	return location
}

// list returns an environment as a list of NAME=value.
func list(variables map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		all = append(all, name+"="+variables[name])
	}
	return all
}
