package codebuild

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Permissions returns what the caller of an operation needs. Who names a role
// for a project or a build passes it to CodeBuild.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	needs := iam.On(s.resources(input)...)
	role := ""
	switch in := input.(type) {
	case *codebuild.StartBuildInput:
		needs[0].Keys = conditionKeys(in)
		role = aws.ToString(in.ServiceRoleOverride)
	case *codebuild.CreateProjectInput:
		role = aws.ToString(in.ServiceRole)
	case *codebuild.UpdateProjectInput:
		role = aws.ToString(in.ServiceRole)
	}
	if role != "" {
		needs = append(needs, iam.PassRole(roleARN(role), iam.CodeBuild))
	}
	return needs
}

// roleARN returns the ARN of a role that is named by its ARN or its name.
func roleARN(role string) string {
	if strings.HasPrefix(role, "arn:") {
		return role
	}
	return iam.RoleARN("/", role)
}

// conditionKeys returns the condition keys for the overrides of StartBuild, by
// the names of AWS's service authorization reference. As on AWS, a key of a
// structure says only that the structure is present.
func conditionKeys(in *codebuild.StartBuildInput) iam.Keys {
	keys := iam.Keys{
		"artifacts":                            present(in.ArtifactsOverride != nil),
		"autoRetryLimit":                       number(in.AutoRetryLimitOverride),
		"cache":                                present(in.CacheOverride != nil),
		"encryptionKey":                        text(in.EncryptionKeyOverride),
		"environment.certificate":              text(in.CertificateOverride),
		"environment.computeType":              text((*string)(&in.ComputeTypeOverride)),
		"environment.environmentVariables":     present(in.EnvironmentVariablesOverride != nil),
		"environment.fleet.fleetArn":           nil,
		"environment.image":                    text(in.ImageOverride),
		"environment.imagePullCredentialsType": text((*string)(&in.ImagePullCredentialsTypeOverride)),
		"environment.privilegedMode":           boolean(in.PrivilegedModeOverride),
		"environment.registryCredential":       present(in.RegistryCredentialOverride != nil),
		"environment.type":                     text((*string)(&in.EnvironmentTypeOverride)),
		"logsConfig":                           present(in.LogsConfigOverride != nil),
		"secondaryArtifacts":                   present(in.SecondaryArtifactsOverride != nil),
		"secondarySources":                     present(in.SecondarySourcesOverride != nil),
		"serviceRole":                          text(in.ServiceRoleOverride),
		"source.auth.resource":                 nil,
		"source.auth.type":                     nil,
		"source.buildStatusConfig.context":     nil,
		"source.buildStatusConfig.targetUrl":   nil,
		"source.buildspec":                     present(in.BuildspecOverride != nil),
		"source.insecureSsl":                   boolean(in.InsecureSslOverride),
		"source.location":                      text(in.SourceLocationOverride),
	}
	if in.FleetOverride != nil {
		keys["environment.fleet.fleetArn"] = text(in.FleetOverride.FleetArn)
	}
	if in.SourceAuthOverride != nil {
		keys["source.auth.resource"] = text(in.SourceAuthOverride.Resource)
		keys["source.auth.type"] = text((*string)(&in.SourceAuthOverride.Type))
	}
	if in.BuildStatusConfigOverride != nil {
		keys["source.buildStatusConfig.context"] = text(in.BuildStatusConfigOverride.Context)
		keys["source.buildStatusConfig.targetUrl"] = text(in.BuildStatusConfigOverride.TargetUrl)
	}
	addVariables(keys, in)
	return qualified(keys)
}

// addVariables adds the names and values of the variables, and each value under
// its name.
func addVariables(keys iam.Keys, in *codebuild.StartBuildInput) {
	const variables = "environment.environmentVariables"
	keys[variables+".name"], keys[variables+".value"] = nil, nil
	keys[variables+"/*"] = nil // a key of any name is known; it has no value unless one is added below
	for _, v := range in.EnvironmentVariablesOverride {
		keys[variables+".name"] = append(keys[variables+".name"], aws.ToString(v.Name))
		keys[variables+".value"] = append(keys[variables+".value"], aws.ToString(v.Value))
		named := variables + "/" + aws.ToString(v.Name) + ".value"
		keys[named] = append(keys[named], text(v.Value)...) // with two values it cannot be compared, and a Deny applies
	}
}

func qualified(keys iam.Keys) iam.Keys {
	all := iam.Keys{}
	for key, values := range keys {
		all["codebuild:"+key] = values
	}
	return all
}

func present(is bool) []string {
	if !is {
		return nil
	}
	return []string{"true"}
}

func text(value *string) []string {
	if aws.ToString(value) == "" {
		return nil
	}
	return []string{*value}
}

func boolean(value *bool) []string {
	if value == nil {
		return nil
	}
	return []string{strconv.FormatBool(*value)}
}

func number(value *int32) []string {
	if value == nil {
		return nil
	}
	return []string{strconv.Itoa(int(*value))}
}
