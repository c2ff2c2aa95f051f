package cloudformation

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	localcodebuild "github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
	"github.com/codebuild-flex/flexbuild/local/internal/s3"
	"github.com/codebuild-flex/flexbuild/local/internal/secretsmanager"
	"github.com/codebuild-flex/flexbuild/local/internal/ssm"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/sts"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// a world is the service with the real providers over the engine's real
// services.
type world struct {
	*engine
	roles        *iam.Service
	repositories *ecr.Service
	projects     *localcodebuild.Service
	buckets      *s3.Service
	parameters   *ssm.Service
	secrets      *secretsmanager.Service
	groups       *logs.Service
}

// noBuilds stands for the executor of builds, of which there are none here.
type noBuilds struct{}

func (noBuilds) Execute(context.Context, cbtypes.Build, *localcodebuild.Record) cbtypes.StatusType {
	return cbtypes.StatusTypeFault
}

func startWorld(t *testing.T) *world {
	t.Helper()
	dir, clock, w := t.TempDir(), clockwork.NewRealClock(), &world{}
	db, err := store.Open(filepath.Join(dir, "state.db"))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	w.roles, err = iam.New(iam.Options{Store: db, Clock: clock})
	must(t, err)
	keys, err := w.roles.RootCredentials()
	must(t, err)
	w.groups, err = logs.New(logs.Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	w.buckets, err = s3.New(s3.Options{Store: db, Dir: filepath.Join(dir, "s3"), Clock: clock, Region: "us-east-1", IAM: w.roles})
	must(t, err)
	w.repositories, err = ecr.New(ecr.Options{Store: db, Dir: filepath.Join(dir, "ecr"), Clock: clock, Region: "us-east-1", Host: "127.0.0.1:5000"})
	must(t, err)
	w.projects, err = localcodebuild.New(localcodebuild.Options{Store: db, Clock: clock, Region: "us-east-1", IAM: w.roles, Executor: noBuilds{}})
	must(t, err)
	w.parameters, err = ssm.New(ssm.Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	w.secrets, err = secretsmanager.New(secretsmanager.Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	svc, err := New(Options{Store: db, Clock: clock, Region: "us-east-1", IAM: w.roles, Parameters: w.parameters, Providers: resources.Providers(resources.Services{
		Region: "us-east-1", AccountID: iam.AccountID,
		Roles: w.roles, LogGroups: w.groups, Buckets: w.buckets, Repositories: w.repositories, Projects: w.projects,
		Parameters: w.parameters, Secrets: w.secrets,
	})})
	must(t, err)
	t.Cleanup(func() { _ = svc.Close() })
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: w.roles, S3: w.buckets, Query: []wire.QueryService{
		{Name: "cloudformation", Version: Version, Namespace: Namespace, Service: svc},
		{Name: "sts", Version: sts.Version, Namespace: sts.Namespace, Service: sts.New(sts.Options{})},
	}}))
	t.Cleanup(server.Close)
	w.engine = &engine{Service: svc, store: db, client: cfn.New(cfn.Options{
		BaseEndpoint: &server.URL,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   wire.NewHTTPClient(),
	})}
	return w
}

// objects returns a client of the world's S3.
func (w *world) objects() *awss3.Client {
	o := w.client.Options()
	return awss3.New(awss3.Options{BaseEndpoint: o.BaseEndpoint, Region: o.Region, Credentials: o.Credentials, Retryer: o.Retryer, HTTPClient: o.HTTPClient, UsePathStyle: true})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deploy creates or updates a stack with the capabilities that people
// acknowledge.
func (w *world) deploy(t *testing.T, name, body string) {
	t.Helper()
	capabilities := []types.Capability{types.CapabilityCapabilityNamedIam}
	_, err := w.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
	if err == nil {
		_, err = w.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: &name, TemplateBody: &body, Capabilities: capabilities})
	} else {
		_, err = w.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: &name, TemplateBody: &body, Capabilities: capabilities})
	}
	must(t, err)
	w.settle(t)
}

// defaultTemplate returns the template of flexbuild's own default stack.
func defaultTemplate(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile("../../../infra/template.json")
	must(t, err)
	return string(body)
}

func TestTheDefaultStackIsDeployedChangedAndDeleted(t *testing.T) {
	w := startWorld(t)
	body := defaultTemplate(t)
	w.deploy(t, "flexbuild", body)
	if got := w.status(t, "flexbuild"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "flexbuild"))
	}
	outputs := w.outputs(t, "flexbuild")
	if outputs["Registry"] != "127.0.0.1:5000" || outputs["ProjectName"] != "flexbuild" || outputs["SourceBucketName"] == "" {
		t.Errorf("outputs: %v", outputs)
	}
	project := w.project(t, "flexbuild")
	if *project.TimeoutInMinutes != 60 || !strings.HasPrefix(*project.Source.Buildspec, "version: 0.2") || len(project.Environment.EnvironmentVariables) != 4 {
		t.Errorf("project: %+v", project)
	}
	w.deploy(t, "flexbuild", strings.Replace(body, `"TimeoutInMinutes": {"Ref":"TimeoutInMinutes"}`, `"TimeoutInMinutes": 90`, 1))
	if got := w.status(t, "flexbuild"); got != "UPDATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "flexbuild"))
	}
	if got := *w.project(t, "flexbuild").TimeoutInMinutes; got != 90 {
		t.Errorf("the timeout is %d", got)
	}
	w.destroy(t, "flexbuild")
	if _, err := w.repositories.Repository("app"); err != nil {
		t.Errorf("the repository was not retained: %v", err)
	}
	if _, err := w.repositories.Repository("flexbuild-cache"); err == nil {
		t.Error("the cache repository was retained")
	}
	w.deploy(t, "again", body)
	if got := w.status(t, "again"); got != "ROLLBACK_COMPLETE" {
		t.Errorf("a stack took over a repository that exists: %s", got)
	}
}

func (w *world) project(t *testing.T, name string) cbtypes.Project {
	t.Helper()
	out, err := w.projects.BatchGetProjects(iam.WithPrincipal(t.Context(), iam.Root()), &codebuild.BatchGetProjectsInput{Names: []string{name}})
	must(t, err)
	if len(out.Projects) != 1 {
		t.Fatalf("no project %s", name)
	}
	return out.Projects[0]
}

// failures returns the reasons of a stack's events.
func (w *world) failures(t *testing.T, name string) string {
	t.Helper()
	out, err := w.client.DescribeEvents(t.Context(), &cfn.DescribeEventsInput{
		StackName: &name, Filters: &types.EventFilter{FailedEvents: aws.Bool(true)},
	})
	must(t, err)
	var reasons []string
	for _, e := range out.OperationEvents {
		reasons = append(reasons, *e.LogicalResourceId+": "+aws.ToString(e.ResourceStatusReason))
	}
	return strings.Join(reasons, "\n")
}

const roleTemplate = `
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: builder
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: {Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: inline
          PolicyDocument:
            Statement: {Effect: Allow, Action: "ecr:*", Resource: !Sub "arn:${AWS::Partition}:ecr:*"}
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: attached
      Roles: [!Ref Role]
      PolicyDocument:
        Statement: {Effect: Allow, Action: "s3:*", Resource: "*"}
`

func TestARolesInlineAndAttachedPoliciesAreKeptApart(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", roleTemplate)
	w.wantPolicies(t, "inline", "attached")
	w.deploy(t, "s", strings.ReplaceAll(roleTemplate, "PolicyName: inline", "PolicyName: renamed"))
	w.wantPolicies(t, "renamed", "attached")
	w.deploy(t, "s", strings.ReplaceAll(roleTemplate, "PolicyName: attached", "PolicyName: moved"))
	w.wantPolicies(t, "inline", "moved")
	w.destroy(t, "s")
	if _, found, _ := w.roles.Role("builder"); found {
		t.Error("the role is still there")
	}
}

// The CDK makes one where a role's inline policies would get too large.
func TestAManagedPolicyIsAttachedToItsRoles(t *testing.T) {
	w := startWorld(t)
	managed := func(roles, resource string) string {
		return roleTemplate + `
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      ManagedPolicyName: managed
      Description: more
      Roles: ` + roles + `
      PolicyDocument:
        Statement: {Effect: Deny, Action: "s3:*", Resource: "` + resource + `"}
`
	}
	arn := "arn:aws:iam::" + iam.AccountID + ":policy/managed"
	w.deploy(t, "s", managed("[!Ref Role]", "*"))
	w.wantPolicies(t, "inline", "attached", arn)
	w.deploy(t, "s", managed("[!Ref Role]", strings.Repeat("x", resources.MaxManagedPolicy)))
	if got := w.status(t, "s"); got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("a policy above the quota: %s", got)
	}
	w.wantPolicies(t, "inline", "attached", arn)
	w.deploy(t, "s", managed("[]", "*"))
	w.wantPolicies(t, "inline", "attached")
	w.deploy(t, "s", managed("[!Ref Role]", "*"))
	w.deploy(t, "s", roleTemplate)
	w.wantPolicies(t, "inline", "attached")
	w.destroy(t, "s")
}

func (w *world) wantPolicies(t *testing.T, names ...string) {
	t.Helper()
	role, found, err := w.roles.Role("builder")
	must(t, err)
	if !found || len(role.Policies) != len(names) {
		t.Fatalf("role: %v, %s", found, toJSON(t, role.Policies))
	}
	for _, name := range names {
		if role.Policies[name] == nil {
			t.Errorf("no policy %s in %s", name, toJSON(t, role.Policies))
		}
	}
}

func TestACustomNameCannotBeReplaced(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", roleTemplate)
	w.deploy(t, "s", strings.ReplaceAll(roleTemplate, "RoleName: builder", "RoleName: builder\n      Path: /ci/"))
	if got := w.status(t, "s"); got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Error(got)
	}
	w.wantPolicies(t, "inline", "attached")
}

func TestWhatTheEngineCannotDoFailsByName(t *testing.T) {
	w := startWorld(t)
	project := func(extra, environment string) string {
		return `{"Resources": {"P": {"Type": "AWS::CodeBuild::Project", "Properties": {"ServiceRole": "r",
			"Artifacts": {"Type": "NO_ARTIFACTS"}, "Source": {"Type": "NO_SOURCE"}` + extra + `,
			"Environment": {"Image": "i", "ComputeType": "BUILD_GENERAL1_SMALL", ` + environment + `}}}}}`
	}
	const linux = `"Type": "LINUX_CONTAINER"`
	for _, c := range []struct{ name, body, want string }{
		{"public", project(`, "ResourceAccessRole": "r"`, linux), "Resource P (AWS::CodeBuild::Project): property ResourceAccessRole cannot be used with the local engine: it has no public builds"},
		{"windows", project("", `"Type": "WINDOWS_SERVER_2022_CONTAINER"`), `property Environment/Type is "WINDOWS_SERVER_2022_CONTAINER"; the local engine can do LINUX_CONTAINER, ARM_CONTAINER`},
		{"fleet", project("", linux+`, "Fleet": {"FleetArn": "f"}`), "property Environment/Fleet cannot be used"},
		{"pipeline", project(`, "SecondaryArtifacts": [{"Type": "CODEPIPELINE"}]`, linux), `property SecondaryArtifacts/0/Type is "CODEPIPELINE"; the local engine can do NO_ARTIFACTS, S3`},
		{"webhook", project(`, "Triggers": {"Webhook": true}`, linux), "property Triggers cannot be used"},
		{"batch", project(`, "BuildBatchConfig": {"ServiceRole": "r"}`, linux), "property BuildBatchConfig cannot be used"},
		{"variable", project("", linux+`, "EnvironmentVariables": [{"Name": "A", "Value": "b", "Type": "VAULT"}]`), "property Environment/EnvironmentVariables/0/Type"},
		{"boundary", `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "PermissionsBoundary": "arn:aws:iam::aws:policy/x"}}}}`, "property PermissionsBoundary cannot be used"},
		{"replica", `{"Resources": {"S": {"Type": "AWS::SecretsManager::Secret", "Properties": {"ReplicaRegions": [{"Region": "eu-west-1"}]}}}}`, "property ReplicaRegions cannot be used"},
		{"network", `{"Resources": {"V": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}}`, "Resource V (AWS::EC2::VPC): the local engine does not know this resource type"},
		{"public bucket", `{"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}}}`, `property AccessControl is "PublicRead"; the local engine can do Private`},
		{"bucket policy", `{"Resources": {"B": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}}}}}`, "property PolicyDocument has what the local engine would not enforce: statement 0 allows something"},
		{"condition of a bucket policy", `{"Resources": {"B": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b", "PolicyDocument": {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}}}}}`, "statement 0 has the condition IpAddress of aws:SourceIp, which the local engine cannot evaluate"},
		{"managed policy", `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/PowerUserAccess"]}}}}`,
			"property ManagedPolicyArns/1 arn:aws:iam::aws:policy/PowerUserAccess is no managed policy that the local engine has"},
		{"instance profile", `{"Resources": {"P": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"PolicyDocument": {}}}}}`, "Resource P (AWS::IAM::InstanceProfile): the local engine does not know this resource type"},
		{"required", `{"Resources": {"R": {"Type": "AWS::IAM::Role"}}}`, "property AssumeRolePolicyDocument is required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.client.CreateStack(t.Context(), &cfn.CreateStackInput{
				StackName: aws.String("s"), TemplateBody: &c.body, Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
			})
			wantError(t, err, "ValidationError", c.want)
		})
	}
}

func TestAProjectHasSecondarySourcesAndArtifacts(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "s", `
Resources:
  Builder:
    Type: AWS::IAM::Role
    Properties: {RoleName: builder, AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: "sts:AssumeRole"}]}}
  P:
    Type: AWS::CodeBuild::Project
    Properties:
      Name: demo
      ServiceRole: !GetAtt Builder.Arn
      Environment: {Image: i, ComputeType: BUILD_GENERAL1_SMALL, Type: LINUX_CONTAINER}
      Source: {Type: NO_SOURCE, BuildSpec: "version: 0.2\nphases: {}\n"}
      SecondarySources: [{Type: GITHUB, Location: "https://github.com/org/lib", SourceIdentifier: lib, GitCloneDepth: 1}]
      SecondarySourceVersions: [{SourceIdentifier: lib, SourceVersion: v1}]
      Artifacts: {Type: S3, Location: bucket, Packaging: ZIP, NamespaceType: BUILD_ID, Path: p, Name: n, OverrideArtifactName: true, EncryptionDisabled: true}
      SecondaryArtifacts: [{Type: S3, Location: other, ArtifactIdentifier: docs}]
`)
	out, err := w.projects.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{"demo"}})
	must(t, err)
	if len(out.Projects) != 1 {
		t.Fatalf("the stack is %s", w.status(t, "s"))
	}
	p := out.Projects[0]
	if s := p.SecondarySources[0]; *s.SourceIdentifier != "lib" || *s.Location != "https://github.com/org/lib" || *s.GitCloneDepth != 1 || *p.SecondarySourceVersions[0].SourceVersion != "v1" {
		t.Errorf("the secondary source is %+v", s)
	}
	if a := p.Artifacts; a.Packaging != cbtypes.ArtifactPackagingZip || a.NamespaceType != cbtypes.ArtifactNamespaceBuildId || *a.Path+*a.Name != "pn" || !*a.OverrideArtifactName || !*a.EncryptionDisabled {
		t.Errorf("the artifacts are %+v", a)
	}
	if a := p.SecondaryArtifacts[0]; *a.ArtifactIdentifier != "docs" || *a.Location != "other" {
		t.Errorf("the secondary artifact is %+v", a)
	}
}

func TestABucketHasVersions(t *testing.T) {
	w := startWorld(t)
	const body = `{"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "assets"%s}}}}`
	client := w.objects()
	for _, c := range []struct{ property, want string }{
		{"", ""}, {`, "VersioningConfiguration": {"Status": "Enabled"}`, "Enabled"}, {`, "VersioningConfiguration": {"Status": "Suspended"}`, "Suspended"},
	} {
		w.deploy(t, "s", fmt.Sprintf(body, c.property))
		out, err := client.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: aws.String("assets")})
		must(t, err)
		if string(out.Status) != c.want {
			t.Errorf("with %q the bucket's versioning is %q", c.property, out.Status)
		}
	}
}

// Every property that a schema refuses or accepts without effect says why.
func TestSchemasSayWhy(t *testing.T) {
	for kind, provider := range resources.Providers(resources.Services{}) {
		for name, p := range provider.Schema().Properties {
			if p.Refused != "" && p.Inert != "" {
				t.Errorf("%s %s is both refused and inert", kind, name)
			}
			if p.Kind == resources.Object && len(p.Fields) == 0 && p.Refused == "" {
				t.Errorf("%s %s is an object of which nothing is known", kind, name)
			}
		}
	}
}
