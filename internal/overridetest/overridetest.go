// Package overridetest tries every override of StartBuild as a caller who has
// GrantStart, on the local engine and on AWS.
package overridetest

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
)

// denied has an input for each override that GrantStart denies.
var denied = map[string]codebuild.StartBuildInput{
	"buildspec":           {BuildspecOverride: aws.String("version: 0.2")},
	"empty buildspec":     {BuildspecOverride: aws.String("")},
	"role":                {ServiceRoleOverride: aws.String("arn:aws:iam::000000000000:role/other")},
	"image":               {ImageOverride: aws.String("aws/codebuild/standard:7.0")},
	"machine":             {EnvironmentTypeOverride: types.EnvironmentTypeWindowsServer2019Container},
	"privileges":          {PrivilegedModeOverride: aws.Bool(false)},
	"registry credential": {RegistryCredentialOverride: &types.RegistryCredential{Credential: aws.String("x"), CredentialProvider: "SECRETS_MANAGER"}},
	"artifacts":           {ArtifactsOverride: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts}},
	"secondary artifacts": {SecondaryArtifactsOverride: []types.ProjectArtifacts{{Type: types.ArtifactsTypeS3}}},
	"secondary sources":   {SecondarySourcesOverride: []types.ProjectSource{{Type: types.SourceTypeS3}}},
	"logs":                {LogsConfigOverride: &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: "DISABLED"}}},
	"cache":               {CacheOverride: &types.ProjectCache{Type: types.CacheTypeNoCache}},
	"encryption key":      {EncryptionKeyOverride: aws.String("alias/mine")},
	"fleet":               {FleetOverride: &types.ProjectFleet{FleetArn: aws.String("arn:aws:codebuild:us-east-1:000000000000:fleet/mine:1")}},
	"source login":        {SourceAuthOverride: &types.SourceAuth{Type: types.SourceAuthTypeCodeconnections, Resource: aws.String("arn:mine")}},
	"commit status":       {BuildStatusConfigOverride: &types.BuildStatusConfig{Context: aws.String("ci/required")}},
	"insecure TLS":        {InsecureSslOverride: aws.Bool(true)},
	"certificate":         {CertificateOverride: aws.String("arn:aws:s3:::mine/cert.pem")},
	"retries":             {AutoRetryLimitOverride: aws.Int32(10)},
}

// foreign are variables of the contract that a caller may not set, and others
// that would let a caller run commands as the build's role.
var foreign = map[string]string{
	"the registry":           "REGISTRY",
	"the registry's mirrors": "MIRRORS",
	"the caches":             "CACHE_REPOSITORY",
	"who may create":         "CREATE_ON_PUSH",
	"the builder":            "BUILDKIT_HOST",
	"the loader":             "LD_PRELOAD",
}

// permitted has an input for each override that GrantStart leaves to the
// caller, except those of the source.
var permitted = map[string]codebuild.StartBuildInput{
	"nothing":          {},
	"a machine's size": {ComputeTypeOverride: types.ComputeTypeBuildGeneral1Small},
	"a timeout":        {TimeoutInMinutesOverride: aws.Int32(5)},
	"a queue timeout":  {QueuedTimeoutInMinutesOverride: aws.Int32(5)},
	"a depth":          {GitCloneDepthOverride: aws.Int32(1)},
	"a version":        {SourceVersion: aws.String("main")},
	"a status":         {ReportBuildStatusOverride: aws.Bool(false)},
}

// Check starts a build for each override. It fails the test for each that is
// not denied although GrantStart denies it, and for each that GrantStart leaves
// to the caller and that is denied. allowed has what each build is allowed to
// have: the project, a TAG, and a source where one is needed. Check stops the
// builds that start.
func Check(t testing.TB, cfg aws.Config, allowed codebuild.StartBuildInput) {
	t.Helper()
	builds := codebuild.NewFromConfig(cfg)
	for name, in := range permitted {
		if err := start(t, builds, in, allowed, "TARGET"); err != nil {
			t.Errorf("a build with %s: %v", name, err)
		}
	}
	for name, in := range denied {
		wantDenied(t, name, start(t, builds, in, allowed, "TARGET"))
	}
	for name, variable := range foreign {
		wantDenied(t, name, start(t, builds, codebuild.StartBuildInput{}, allowed, variable))
	}
}

// start starts a build with the given overrides and a variable beside what is
// allowed, and stops it.
func start(t testing.TB, builds *codebuild.Client, in, allowed codebuild.StartBuildInput, variable string) error {
	t.Helper()
	in.ProjectName = allowed.ProjectName
	in.SourceTypeOverride, in.SourceLocationOverride = allowed.SourceTypeOverride, allowed.SourceLocationOverride
	in.EnvironmentVariablesOverride = append([]types.EnvironmentVariable{{Name: &variable, Value: aws.String("x")}}, allowed.EnvironmentVariablesOverride...)
	out, err := builds.StartBuild(t.Context(), &in)
	if err == nil {
		_, err = builds.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: out.Build.Id})
	}
	return err
}

func wantDenied(t testing.TB, what string, err error) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
		t.Errorf("%s: error %v, want AccessDeniedException", what, err)
	}
}
