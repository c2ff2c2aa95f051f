package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/runner"
)

// unneeded are changes that the engine does not notice, each with why the
// permission stays.
var unneeded = map[string]string{
	"ecr-public:GetAuthorizationToken": "the engine has no ECR Public",
	"sts:GetServiceBearerToken":        "nor the token that ECR Public's login takes",
	"without s3:GetObjectVersion":      "CodeBuild's user guide has it in the service role for sources in S3 (\"Allow CodeBuild to interact with other AWS services\"); the engine keeps one version",
	"s3:GetBucketLocation":             "it has that too (S3BucketIdentity)",
	"without ecr:UploadLayerPart":      "BuildKit uploads a layer at once; the Docker daemon, with which builds push where they have no BuildKit, does so in parts",

	"without ecr:BatchCheckLayerAvailability: Allow ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage": "ECR's user guide has it for pulls; BuildKit asks for it when it pushes",

	`without it: Deny codebuild:StartBuild on arn:aws:codebuild:us-east-1:000000000000:project/images if {"Null":{"codebuild:source.auth.resource":"false"}}`: "StartBuild takes no sourceAuthOverride without a type today, and that is denied too",

	"without StringEquals ec2:AuthorizedService": "no other service asks for it with the builds' role",

	"without kms:DescribeKey: Allow kms:Decrypt kms:DescribeKey":     "CodeBuild may describe the key of its project; the engine has no KMS",
	"without kms:GenerateDataKey: Allow kms:Decrypt kms:DescribeKey": "CodeBuild encrypts with its project's key what it keeps of builds, and the engine keeps nothing there",

	"with one of arn:aws:cloudformation:us-east-1:000000000000:stack/permissions/*": "a stack that is deleted and made again has another ARN",
}

// Each action, resource and condition of the builds' role and of the grants is
// needed: without it, or with a narrower resource, a call of a real build or of
// the client is denied, or an attack succeeds.
func TestEachPermissionIsNeeded(t *testing.T) {
	t.Setenv("FLEXBUILD_BUILD_TOOLS", "standin")
	p := newPermissions(t)
	p.buildEverything(t)
	p.useTheClient(t)
	p.pull(t)
	p.attack(t)

	seen, used := map[string]bool{}, map[string]bool{}
	for _, id := range []string{"BuildRole", "Caller", "Puller", "TeamCaller", "Uploader"} {
		role := p.roles[id]
		calls := p.callsOf(role.Name)
		mutants, err := mutantsOf(role, calls)
		check(t, err)
		if len(mutants) == 0 || len(calls) == 0 {
			t.Fatalf("%s: %d mutants and %d calls", id, len(mutants), len(calls))
		}
		tried, allowed := 0, allowedBy(role, calls)
		for _, m := range mutants {
			if seen[m.what] { // for another role with the same grant
				continue
			}
			seen[m.what] = true
			tried++
			if !m.noticed(calls, allowed) && !excused(m.what, used) {
				t.Errorf("%s: nothing changes %s", id, m.what)
			}
		}
		t.Logf("%s: %d mutants, %d calls", id, tried, len(calls))
	}
	for what := range unneeded {
		if !used[what] {
			t.Errorf("%s is needed, or not there: remove it from unneeded", what)
		}
	}
}

func excused(what string, used map[string]bool) bool {
	for text := range unneeded {
		if strings.Contains(what, text) {
			used[text] = true
			return true
		}
	}
	return false
}

// permissions are an engine with infra's stack "permissions", and the calls
// that its roles have made.
type permissions struct {
	engine *Engine
	root   aws.Config
	roles  map[string]iam.Role // by the output with its ARN

	mu    sync.Mutex
	calls []iam.Call
}

func newPermissions(t *testing.T) *permissions {
	t.Helper()
	engine, err := Start(t.Context(), Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	check(t, err)
	t.Cleanup(func() { check(t, engine.Close()) })
	p := &permissions{engine: engine, root: engine.Endpoint().Config(), roles: map[string]iam.Role{}}
	check(t, Deploy(t.Context(), p.root, "sources", `{"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "our-sources",
		"BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "`+keyOfSources+`"}}]}}}}}`))
	p.deploy(t)
	stacks, err := cloudformation.NewFromConfig(p.root).DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("permissions")})
	check(t, err)
	for _, output := range stacks.Stacks[0].Outputs {
		if _, path, ok := strings.Cut(*output.OutputValue, ":role/"); ok {
			role, _, err := engine.services.iam.Role(path)
			check(t, err)
			p.roles[strings.TrimSuffix(*output.OutputKey, "Arn")] = role
		}
	}
	engine.services.iam.Observe(func(call iam.Call) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, call)
	})
	return p
}

// deploy deploys the stack from a bucket: with the script it is too large for a
// request.
func (p *permissions) deploy(t *testing.T) {
	t.Helper()
	_, err := s3.NewFromConfig(p.root).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("our-sources"), Key: aws.String("permissions.json"), Body: strings.NewReader(permissionsTemplate(t)),
	})
	check(t, err)
	stacks := cloudformation.NewFromConfig(p.root)
	_, err = stacks.CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: aws.String("permissions"), Capabilities: []cfntypes.Capability{cfntypes.CapabilityCapabilityIam},
		TemplateURL: aws.String(p.engine.Endpoint().URL + "/our-sources/permissions.json"),
	})
	check(t, err)
	created := cloudformation.NewStackCreateCompleteWaiter(stacks, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	check(t, created.Wait(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("permissions")}, time.Minute))
}

// The stack has a key for uploads, which is the first, and others for what is
// made here.
const (
	keyOfSecrets    = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000002"
	keyOfParameters = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000003"
	keyOfSources    = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000004"
)

// permissionsTemplate returns infra's golden template with the real script.
func permissionsTemplate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../infra/testdata/permissions.json")
	check(t, err)
	var document struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
			DependsOn  any `json:",omitempty"`
		}
		Outputs map[string]any
	}
	check(t, json.Unmarshal(text, &document))
	for _, resource := range document.Resources {
		if source, ok := resource.Properties["Source"].(map[string]any); ok && resource.Type == "AWS::CodeBuild::Project" {
			source["BuildSpec"] = buildspec.Source()
		}
	}
	text, err = json.Marshal(document)
	check(t, err)
	return string(text)
}

// callsOf returns the calls of a role's sessions, each once.
func (p *permissions) callsOf(role string) []iam.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(p.calls), func(call iam.Call) bool {
		key := fmt.Sprint(call.Action, call.Resource, call.Keys)
		other := call.Principal.RoleName != role || seen[key]
		seen[key] = seen[key] || !other
		return other
	})
}

func (p *permissions) as(role string) aws.Config {
	cfg := p.root
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(p.root), p.roles[role].ARN))
	return cfg
}

func (p *permissions) client(t *testing.T, role, stack string, options ...runner.Option) *runner.Client {
	t.Helper()
	client, err := runner.New(t.Context(), p.as(role), stack, options...)
	check(t, err)
	return client
}

// buildEverything runs builds that need all that the builds' role may do.
func (p *permissions) buildEverything(t *testing.T) {
	t.Helper()
	p.makeWhatBuildsRead(t)
	registry := strings.TrimPrefix(p.engine.Endpoint().URL, "http://")
	dockerfile := "FROM " + registry + "/base:1\nCOPY Dockerfile /\n"
	for _, other := range []string{"flexbuild/base:1", "images-quay/a:1", "images-quay/b:1"} {
		dockerfile += "COPY --from=" + registry + "/" + other + " / /\n"
	}
	client := p.client(t, "Caller", "permissions", runner.WithLogRate(1))
	build := func(labels int, tags ...string) {
		_, err := client.Run(t.Context(), runner.Request{
			Source: directory(t, dockerfile+strings.Repeat("LABEL again=yes\n", labels)), Tags: tags,
			Secrets: map[string]string{"npm": "npm", "key": "/team/key"},
		}, runner.WithLogs(io.Discard))
		if err != nil {
			t.Errorf("building %s: %v", tags, err)
		}
	}
	var both sync.WaitGroup // with one call a second, the client reads the second log with those of others
	both.Go(func() { build(0, "app:1", "flexbuild/a:1") })
	both.Go(func() { build(1, "team/api:1", "flexbuild/b:1") })
	both.Wait()
	build(2, "app:2") // with a cache
	for _, key := range []string{"zips/a.zip", "zips/b.zip"} {
		if err := p.buildObject(t, "our-sources/"+key); !strings.Contains(fmt.Sprint(err), "the build has no source") { // it is empty
			t.Fatalf("building %s: %v", key, err)
		}
	}
	_, err := client.Run(t.Context(), runner.Request{Source: directory(t, "FROM "+registry+"/images-quay/c:1\n"), Tags: []string{"app:3"}})
	if err == nil { // nothing is imported here
		t.Error("an image that the cache does not have was built from")
	}
	p.buildOwnSource(t)
}

// buildOwnSource builds the project's own source, with its connection, and once
// in a subnet that the builds' role does not cover.
func (p *permissions) buildOwnSource(t *testing.T) {
	t.Helper()
	projects := codebuild.NewFromConfig(p.root)
	own, err := projects.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{"images"}})
	check(t, err)
	vpc := own.Projects[0].VpcConfig
	elsewhere := &types.VpcConfig{VpcId: vpc.VpcId, SecurityGroupIds: vpc.SecurityGroupIds, Subnets: []string{"subnet-33333333"}}
	for _, place := range []struct {
		vpc  *types.VpcConfig
		want string
	}{{elsewhere, "VPC_CLIENT_ERROR"}, {vpc, "repository not reachable"}} { // github.invalid is nowhere
		_, err := projects.UpdateProject(t.Context(), &codebuild.UpdateProjectInput{Name: aws.String("images"), VpcConfig: place.vpc})
		check(t, err)
		out, err := codebuild.NewFromConfig(p.as("Caller")).StartBuild(t.Context(), start("TAG", "app:3"))
		check(t, err)
		_, err = p.client(t, "Caller", "permissions").Build(*out.Build.Id).Wait(t.Context())
		if !strings.Contains(fmt.Sprint(err), place.want) {
			t.Errorf("a build of the project's source in %s: %v, want %s", place.vpc.Subnets, err, place.want)
		}
	}
}

// buildObject builds an archive in S3, and returns why that failed.
func (p *permissions) buildObject(t *testing.T, location string) error {
	t.Helper()
	in := start("TAG", "app:3")
	in.SourceTypeOverride, in.SourceLocationOverride = types.SourceTypeS3, &location
	out, err := codebuild.NewFromConfig(p.as("Caller")).StartBuild(t.Context(), in)
	check(t, err)
	_, err = p.client(t, "Caller", "permissions").Build(*out.Build.Id).Wait(t.Context())
	return err
}

// makeWhatBuildsRead makes base images, secrets and objects, as an
// administrator.
func (p *permissions) makeWhatBuildsRead(t *testing.T) {
	t.Helper()
	for _, repository := range []string{"base", "flexbuild/base", "images-quay/a", "images-quay/b"} {
		_, err := ecr.NewFromConfig(p.root).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &repository})
		check(t, err)
		image, err := random.Image(1024, 1)
		check(t, err)
		config, err := image.ConfigFile()
		check(t, err)
		config.OS, config.Architecture = "linux", runtime.GOARCH
		image, err = mutate.ConfigFile(image, config)
		check(t, err)
		check(t, remote.Write(p.image(t, repository+":1"), image, p.login(t, p.root)))
	}
	_, err := secretsmanager.NewFromConfig(p.root).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("npm"), SecretString: aws.String("a-secret-of-npm"), KmsKeyId: aws.String(keyOfSecrets),
	})
	check(t, err)
	_, err = ssm.NewFromConfig(p.root).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/team/key"), Value: aws.String("a-key-of-the-team"), Type: ssmtypes.ParameterTypeSecureString, KeyId: aws.String(keyOfParameters),
	})
	check(t, err)
	for path, key := range map[string]string{"zips/a.zip": keyOfSources, "zips/b.zip": keyOfSources, "zips/of-secrets.zip": keyOfSecrets, "zips/of-parameters.zip": keyOfParameters} {
		emptyZIP := "PK\x05\x06" + strings.Repeat("\x00", 18)
		_, err := s3.NewFromConfig(p.root).PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("our-sources"), Key: &path, Body: strings.NewReader(emptyZIP),
			ServerSideEncryption: s3types.ServerSideEncryptionAwsKms, SSEKMSKeyId: &key,
		})
		check(t, err)
	}
}

func (p *permissions) image(t *testing.T, reference string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(p.engine.Endpoint().URL, "http://")+"/"+reference, name.Insecure)
	check(t, err)
	return ref
}

func (p *permissions) login(t *testing.T, cfg aws.Config) remote.Option {
	t.Helper()
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	check(t, err)
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	check(t, err)
	user, password, _ := strings.Cut(string(token), ":")
	return remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

// useTheClient makes the calls of a client that the builds before did not make.
func (p *permissions) useTheClient(t *testing.T) {
	t.Helper()
	client := p.client(t, "Caller", "/images")
	everything := runner.Request{
		Source: runner.Git{URL: "http://127.0.0.1:1/org/repo.git", Ref: "main", Token: "a-token-of-git", Checksum: strings.Repeat("a", 40)},
		Tags:   []string{"app:4"}, Target: "t", Dockerfile: "D", BuildArgs: map[string]string{"A": "1"}, Labels: map[string]string{"l": "1"},
		Secrets: map[string]string{"npm": "npm"}, Platforms: []string{"linux/arm64"}, Cache: "inline", Pull: true, NoCache: true,
		Provenance: "max", SBOM: true, Metadata: map[string]string{"m": "1"},
	}
	build, err := client.Start(t.Context(), everything)
	check(t, err)
	check(t, build.Stop(t.Context()))
	for _, err := range client.List(t.Context()) {
		check(t, err)
	}
	for role, team := range map[string]string{"TeamCaller": "team-a", "Uploader": "team-b"} {
		client := p.client(t, role, "permissions", runner.WithTeam(team))
		for i := range 2 {
			build, err := client.Start(t.Context(), runner.Request{Source: directory(t, fmt.Sprintf("FROM scratch\nLABEL a=%d\n", i)), Tags: []string{"team/api:1"}, Size: runner.Medium})
			check(t, err)
			check(t, build.Stop(t.Context()))
		}
	}
}

// pull gets whole images.
func (p *permissions) pull(t *testing.T) {
	t.Helper()
	for _, reference := range []string{"app:1", "team/api:1", "flexbuild/a:1", "flexbuild/b:1"} {
		image, err := remote.Image(p.image(t, reference), p.login(t, p.as("Puller")))
		check(t, err)
		layers, err := image.Layers()
		check(t, err)
		for _, layer := range layers {
			content, err := layer.Compressed()
			check(t, err)
			check(t, content.Close())
		}
	}
}

func start(variables ...string) *codebuild.StartBuildInput {
	in := &codebuild.StartBuildInput{ProjectName: aws.String("images")}
	for i := 0; i < len(variables); i += 2 {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, types.EnvironmentVariable{Name: &variables[i], Value: &variables[i+1]})
	}
	return in
}

func directory(t *testing.T, dockerfile string) runner.Dir {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	return runner.Dir(dir)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// overrides are what no caller may override, each alone. Those of a structure
// with several keys are there once for each.
var overrides = map[string]codebuild.StartBuildInput{
	"artifacts":                            {ArtifactsOverride: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts}},
	"autoRetryLimit":                       {AutoRetryLimitOverride: aws.Int32(10)},
	"cache":                                {CacheOverride: &types.ProjectCache{Type: types.CacheTypeNoCache}},
	"encryptionKey":                        {EncryptionKeyOverride: aws.String("alias/mine")},
	"environment.certificate":              {CertificateOverride: aws.String("arn:aws:s3:::mine/cert.pem")},
	"environment.fleet.fleetArn":           {FleetOverride: &types.ProjectFleet{FleetArn: aws.String("arn:aws:codebuild:us-east-1:000000000000:fleet/mine:1")}},
	"environment.image":                    {ImageOverride: aws.String("aws/codebuild/standard:7.0")},
	"environment.imagePullCredentialsType": {ImagePullCredentialsTypeOverride: types.ImagePullCredentialsTypeServiceRole},
	"environment.privilegedMode":           {PrivilegedModeOverride: aws.Bool(false)},
	"environment.registryCredential":       {RegistryCredentialOverride: &types.RegistryCredential{Credential: aws.String("x"), CredentialProvider: "SECRETS_MANAGER"}},
	"environment.type":                     {EnvironmentTypeOverride: types.EnvironmentTypeWindowsServer2019Container},
	"logsConfig":                           {LogsConfigOverride: &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: "DISABLED"}}},
	"secondaryArtifacts":                   {SecondaryArtifactsOverride: []types.ProjectArtifacts{{Type: types.ArtifactsTypeS3}}},
	"secondarySources":                     {SecondarySourcesOverride: []types.ProjectSource{{Type: types.SourceTypeS3}}},
	"serviceRole":                          {ServiceRoleOverride: aws.String("arn:aws:iam::000000000000:role/other")},
	"source.auth.resource":                 {SourceAuthOverride: &types.SourceAuth{Type: types.SourceAuthTypeOauth, Resource: aws.String("arn:mine")}},
	"source.auth.type":                     {SourceAuthOverride: &types.SourceAuth{Type: types.SourceAuthTypeOauth}},
	"source.buildStatusConfig.context":     {BuildStatusConfigOverride: &types.BuildStatusConfig{Context: aws.String("ci/required")}},
	"source.buildStatusConfig.targetUrl":   {BuildStatusConfigOverride: &types.BuildStatusConfig{TargetUrl: aws.String("https://example.com")}},
	"source.buildspec":                     {BuildspecOverride: aws.String("version: 0.2")},
	"source.insecureSsl":                   {InsecureSslOverride: aws.Bool(true)},
}

// attack has callers ask for what they may not have.
func (p *permissions) attack(t *testing.T) {
	t.Helper()
	const own = "https://github.com/acme/app"
	for key, in := range overrides {
		in.ProjectName, in.EnvironmentVariablesOverride = aws.String("images"), start("TAG", "app:1").EnvironmentVariablesOverride
		p.start(t, "Caller", key, &in, false)
		in.SourceLocationOverride, in.EnvironmentVariablesOverride = aws.String(own), start("TAG", "team/api:1").EnvironmentVariablesOverride
		p.start(t, "TeamCaller", key, &in, false)
	}
	at := func(in *codebuild.StartBuildInput, location string) *codebuild.StartBuildInput {
		in.SourceLocationOverride = &location
		if !strings.HasPrefix(location, "https:") {
			in.SourceTypeOverride = types.SourceTypeS3
		}
		return in
	}
	sized := func(size types.ComputeType) *codebuild.StartBuildInput {
		in := at(start("TAG", "team/api:1"), own)
		in.ComputeTypeOverride = size
		return in
	}
	for _, key := range []string{"zips/of-secrets.zip", "zips/of-parameters.zip"} {
		err := p.buildObject(t, "our-sources/"+key)
		if err == nil || !strings.Contains(err.Error(), "kms:Decrypt") {
			t.Errorf("a build of %s, whose key is for another service: %v", key, err)
		}
	}
	bucket := p.client(t, "Caller", "permissions").Stack().SourceBucketName
	p.start(t, "Caller", "what only people set", start("TAG", "app:1", "REGION", "us-east-1", "ACCOUNT", iam.AccountID, "CONTEXT", "."), true)
	p.start(t, "Caller", "a variable of the stack's", start("TAG", "app:1", "REGISTRY", "example.com"), false)
	for _, a := range []struct {
		role, what string
		in         *codebuild.StartBuildInput
		allowed    bool
	}{
		{"TeamCaller", "its own repository", at(start("TAG", "team/api:1"), own), true},
		{"TeamCaller", "its own repository by the script", start("TAG", "team/api:1", "GIT_URL", own), true},
		{"TeamCaller", "a small machine", sized(types.ComputeTypeBuildGeneral1Small), true},
		{"TeamCaller", "a large machine", sized(types.ComputeTypeBuildGeneral1Large), false},
		{"TeamCaller", "another image", at(start("TAG", "app:1"), own), false},
		{"TeamCaller", "two tags", at(start("TAG", "team/api:1 app:1"), own), false},
		{"TeamCaller", "another source", at(start("TAG", "team/api:1"), "https://github.com/other/app"), false},
		{"TeamCaller", "another source by the script", at(start("TAG", "team/api:1", "GIT_URL", "https://github.com/other/app"), own), false},
		{"TeamCaller", "a location with ..", at(start("TAG", "team/api:1"), "https://github.com/acme/../other/app"), false},
		{"TeamCaller", "a location with %", at(start("TAG", "team/api:1"), "https://github.com/acme/%2e%2e/other/app"), false},
		{"TeamCaller", "a URL with ..", start("TAG", "team/api:1", "GIT_URL", "https://github.com/acme/../other/app"), false},
		{"TeamCaller", "a URL with %", start("TAG", "team/api:1", "GIT_URL", "https://github.com/acme/%2e%2e/other/app"), false},
		{"Uploader", "any repository", at(start("TAG", "app:1"), "https://github.com/other/app"), true},
		{"Uploader", "another team's upload", at(start("TAG", "app:1"), bucket+"/sources/team-a/x.zip"), false},
		{"Uploader", "an upload with ..", at(start("TAG", "app:1"), bucket+"/sources/team-b/../team-a/x.zip"), false},
	} {
		p.start(t, a.role, a.what, a.in, a.allowed)
	}
	for role, prefix := range map[string]string{"Caller": "sources/", "TeamCaller": "sources/team-a/", "Uploader": "sources/team-b/"} {
		objects := s3.NewFromConfig(p.as(role))
		_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(prefix + "x"), Body: strings.NewReader("x")})
		denied(t, role+" overwrites an upload", err)
		_, err = objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
		denied(t, role+" lists uploads", err)
	}
}

// start starts a build as a role, which must be allowed or denied, and stops it
// again.
func (p *permissions) start(t *testing.T, role, what string, in *codebuild.StartBuildInput, allowed bool) {
	t.Helper()
	builds := codebuild.NewFromConfig(p.as(role))
	out, err := builds.StartBuild(t.Context(), in)
	if !allowed {
		denied(t, role+" starts a build of "+what, err)
		return
	}
	if err != nil {
		t.Errorf("%s may not start a build of %s: %v", role, what, err)
		return
	}
	_, err = builds.StopBuild(context.WithoutCancel(t.Context()), &codebuild.StopBuildInput{Id: out.Build.Id})
	check(t, err)
}

func denied(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("%s: error %v, want AccessDenied", what, err)
	}
}
