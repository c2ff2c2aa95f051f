package codebuild

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Inheritance determines what a build whose call overrides the source type
// keeps of the project's own source: its location, version, clone depth,
// submodules and insecureSsl. AWS does not document that. The buildspec is
// always kept, which is documented.
type Inheritance int

const (
	// InheritEverything keeps everything that the call does not override. It is
	// the default because it is the worse of the two for a caller: by reports
	// from AWS, the project's sourceVersion is kept, and CodeBuild then refuses
	// a build whose source type cannot have the setting.
	InheritEverything Inheritance = iota
	// InheritNothing drops all of it, also if the call names the project's own
	// type.
	InheritNothing
)

// compose returns the build that a call describes: the project with the call's
// overrides. It has no identity yet.
func compose(project types.Project, in *codebuild.StartBuildInput, inheritance Inheritance) storedBuild {
	source, environment := *project.Source, *project.Environment
	if in.SourceTypeOverride != "" && inheritance == InheritNothing {
		source = types.ProjectSource{Buildspec: source.Buildspec}
		project.SourceVersion = nil
	}
	overrideSource(&source, in)
	overrideEnvironment(&environment, in)
	build := begun(types.Build{
		ProjectName:             project.Name,
		Source:                  &source,
		SourceVersion:           override(project.SourceVersion, in.SourceVersion),
		SecondarySources:        overrideList(project.SecondarySources, in.SecondarySourcesOverride),
		SecondarySourceVersions: overrideList(project.SecondarySourceVersions, in.SecondarySourcesVersionOverride),
		Environment:             &environment,
		Cache:                   &types.ProjectCache{Type: types.CacheTypeNoCache},
		VpcConfig:               project.VpcConfig,
		Logs:                    &types.LogsLocation{CloudWatchLogs: cloudWatch(project.LogsConfig, in.LogsConfigOverride)},
		ServiceRole:             override(project.ServiceRole, in.ServiceRoleOverride),
		EncryptionKey:           override(project.EncryptionKey, in.EncryptionKeyOverride),
		TimeoutInMinutes:        override(project.TimeoutInMinutes, in.TimeoutInMinutesOverride),
		QueuedTimeoutInMinutes:  override(project.QueuedTimeoutInMinutes, in.QueuedTimeoutInMinutesOverride),
		AutoRetryConfig:         autoRetries(override(project.AutoRetryLimit, in.AutoRetryLimitOverride)),
	})
	return storedBuild{Build: build, Artifacts: artifactsOf(project, in)}
}

// begun returns a build with what every build has at its beginning.
func begun(b types.Build) types.Build {
	b.BuildStatus = types.StatusTypeInProgress
	b.SecondarySources, b.SecondarySourceVersions = orEmpty(b.SecondarySources), orEmpty(b.SecondarySourceVersions)
	b.FileSystemLocations, b.ReportArns, b.ExportedEnvironmentVariables = []types.ProjectFileSystemLocation{}, []string{}, []types.ExportedEnvironmentVariable{}
	return b
}

// override returns the value of the call if it has one, and otherwise the
// project's.
func override[T any](project, call *T) *T {
	if call != nil {
		return call
	}
	return project
}

// overrideList returns the list of the call if it has one, and otherwise the
// project's. AWS does not document whether it merges the two by their
// identifiers. What is lost without merging fails a build that relies on it.
func overrideList[T any](project, call []T) []T {
	if len(call) > 0 {
		return call
	}
	return project
}

// orEmpty returns a list that is [] in an answer, as AWS's are.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func overrideSource(source *types.ProjectSource, in *codebuild.StartBuildInput) {
	if in.SourceTypeOverride != "" {
		source.Type = in.SourceTypeOverride
	}
	source.Location = override(source.Location, in.SourceLocationOverride)
	source.GitCloneDepth = override(source.GitCloneDepth, in.GitCloneDepthOverride)
	source.GitSubmodulesConfig = override(source.GitSubmodulesConfig, in.GitSubmodulesConfigOverride)
	source.InsecureSsl = override(source.InsecureSsl, in.InsecureSslOverride)
	source.Buildspec = override(source.Buildspec, in.BuildspecOverride)
}

func overrideEnvironment(environment *types.ProjectEnvironment, in *codebuild.StartBuildInput) {
	if in.EnvironmentTypeOverride != "" {
		environment.Type = in.EnvironmentTypeOverride
	}
	if in.ComputeTypeOverride != "" {
		environment.ComputeType = in.ComputeTypeOverride
	}
	if in.ImagePullCredentialsTypeOverride != "" {
		environment.ImagePullCredentialsType = in.ImagePullCredentialsTypeOverride
	}
	environment.Image = override(environment.Image, in.ImageOverride)
	environment.PrivilegedMode = override(environment.PrivilegedMode, in.PrivilegedModeOverride)
	environment.EnvironmentVariables = mergeVariables(environment.EnvironmentVariables, in.EnvironmentVariablesOverride)
}

// mergeVariables returns the project's variables with the values of the call,
// followed by those that only the call has.
func mergeVariables(project, call []types.EnvironmentVariable) []types.EnvironmentVariable {
	merged := append([]types.EnvironmentVariable{}, project...)
	for _, v := range call {
		if v.Type == "" {
			v.Type = types.EnvironmentVariableTypePlaintext
		}
		same := func(other types.EnvironmentVariable) bool { return *other.Name == *v.Name }
		if i := slices.IndexFunc(merged, same); i >= 0 {
			merged[i] = v
		} else {
			merged = append(merged, v)
		}
	}
	return merged
}

// cloudWatch returns the configuration of the log. A call's configuration
// replaces the project's as a whole.
func cloudWatch(project, call *types.LogsConfig) *types.CloudWatchLogsConfig {
	for _, config := range []*types.LogsConfig{call, project} {
		if config != nil && config.CloudWatchLogs != nil {
			return config.CloudWatchLogs
		}
	}
	return &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled}
}

// LogStream returns the group and stream of a build's log: those that the build
// names, or AWS's defaults, which are the project's group and the build's uuid.
// enabled is false if the build has no log.
func LogStream(build types.Build) (group, stream string, enabled bool) {
	project, uuid, _ := strings.Cut(*build.Id, ":")
	config := build.Logs.CloudWatchLogs
	if group = aws.ToString(config.GroupName); group == "" {
		group = "/aws/codebuild/" + project
	}
	stream = uuid
	if prefix := aws.ToString(config.StreamName); prefix != "" {
		stream = prefix + "/" + uuid
	}
	return group, stream, config.Status != types.LogsConfigStatusTypeDisabled
}
