package codebuild

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// A refusal is a field that CodeBuild has and the local engine does not
// support.
type refusal[T any] struct {
	field string
	given func(in T) bool
}

func refuse[T any](refusals []refusal[T], in T) error {
	for _, r := range refusals {
		if r.given(in) {
			return invalid("%s is not supported by the local engine", r.field)
		}
	}
	return nil
}

// unsupportedOverrides are the fields of StartBuild that are refused. Those
// that are neither here nor applied in compose.go have no meaning without
// these.
var unsupportedOverrides = []refusal[*codebuild.StartBuildInput]{
	{"buildStatusConfigOverride", func(in *codebuild.StartBuildInput) bool { return in.BuildStatusConfigOverride != nil }},
	{"cacheOverride", func(in *codebuild.StartBuildInput) bool { return caches(in.CacheOverride) }},
	{"certificateOverride", func(in *codebuild.StartBuildInput) bool { return aws.ToString(in.CertificateOverride) != "" }},
	{"debugSessionEnabled", func(in *codebuild.StartBuildInput) bool { return aws.ToBool(in.DebugSessionEnabled) }},
	{"fleetOverride", func(in *codebuild.StartBuildInput) bool { return in.FleetOverride != nil }},
	{"logsConfigOverride.s3Logs", func(in *codebuild.StartBuildInput) bool { return logsToS3(in.LogsConfigOverride) }},
	{"registryCredentialOverride", func(in *codebuild.StartBuildInput) bool { return in.RegistryCredentialOverride != nil }},
	{"reportBuildStatusOverride", func(in *codebuild.StartBuildInput) bool { return aws.ToBool(in.ReportBuildStatusOverride) }},
	{"sourceAuthOverride", func(in *codebuild.StartBuildInput) bool { return in.SourceAuthOverride != nil }},
}

// unsupportedSettings are the fields of a project that are refused.
var unsupportedSettings = []refusal[*types.Project]{
	{"badge", func(p *types.Project) bool { return p.Badge != nil && p.Badge.BadgeEnabled }},
	{"buildBatchConfig", func(p *types.Project) bool { return p.BuildBatchConfig != nil }},
	{"cache", func(p *types.Project) bool { return caches(p.Cache) }},
	{"environment.certificate", func(p *types.Project) bool { return aws.ToString(p.Environment.Certificate) != "" }},
	{"environment.computeConfiguration", func(p *types.Project) bool { return p.Environment.ComputeConfiguration != nil }},
	{"environment.dockerServer", func(p *types.Project) bool { return p.Environment.DockerServer != nil }},
	{"environment.fleet", func(p *types.Project) bool { return p.Environment.Fleet != nil }},
	{"environment.registryCredential", func(p *types.Project) bool { return p.Environment.RegistryCredential != nil }},
	{"fileSystemLocations", func(p *types.Project) bool { return len(p.FileSystemLocations) > 0 }},
	{"logsConfig.s3Logs", func(p *types.Project) bool { return logsToS3(p.LogsConfig) }},
	{"projectVisibility", func(p *types.Project) bool { return p.ProjectVisibility == types.ProjectVisibilityTypePublicRead }},
	{"webhook", func(p *types.Project) bool { return p.Webhook != nil }},
}

// unsupportedSourceSettings are the fields of a source that are refused.
var unsupportedSourceSettings = []refusal[types.ProjectSource]{
	{"source.auth.type", func(s types.ProjectSource) bool {
		return s.Auth != nil && s.Auth.Type != types.SourceAuthTypeCodeconnections
	}},
	{"source.buildStatusConfig", func(s types.ProjectSource) bool { return s.BuildStatusConfig != nil }},
	{"source.reportBuildStatus", func(s types.ProjectSource) bool { return aws.ToBool(s.ReportBuildStatus) }},
}

func caches(c *types.ProjectCache) bool { return c != nil && c.Type != types.CacheTypeNoCache }

func logsToS3(c *types.LogsConfig) bool {
	return c != nil && c.S3Logs != nil && c.S3Logs.Status == types.LogsConfigStatusTypeEnabled
}
