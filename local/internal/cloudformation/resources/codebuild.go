package resources

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Projects is what the project provider needs of the engine's CodeBuild.
type Projects interface {
	BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput) (*codebuild.BatchGetProjectsOutput, error)
	PutProject(types.Project) (types.Project, error)
	DeleteProject(context.Context, *codebuild.DeleteProjectInput) (*codebuild.DeleteProjectOutput, error)
}

// projectProvider is AWS::CodeBuild::Project.
type projectProvider struct{ projects Projects }

func (projectProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"Arn", "Id"},
		Properties: map[string]Property{
			"Artifacts":               required(artifacts),
			"AutoRetryLimit":          {Kind: Integer},
			"BadgeEnabled":            {Kind: Boolean, Values: []string{"false"}},
			"BuildBatchConfig":        {Refused: "it does not run batches of builds"},
			"Cache":                   projectCache,
			"ConcurrentBuildLimit":    {Kind: Integer},
			"Description":             {},
			"EncryptionKey":           {},
			"Environment":             projectEnvironment,
			"FileSystemLocations":     {Refused: "it has no EFS"},
			"LogsConfig":              projectLogs,
			"Name":                    {CreateOnly: true},
			"QueuedTimeoutInMinutes":  {Kind: Integer},
			"ResourceAccessRole":      {Refused: "it has no public builds"},
			"SecondaryArtifacts":      {Kind: List, Items: &artifacts},
			"SecondarySourceVersions": {Kind: List, Items: &secondaryVersion},
			"SecondarySources":        {Kind: List, Items: &projectSource},
			"ServiceRole":             {Required: true},
			"Source":                  required(projectSource),
			"SourceVersion":           {},
			"Tags":                    tagList,
			"TimeoutInMinutes":        {Kind: Integer},
			"Triggers":                {Refused: "nothing can reach it with a webhook"},
			"Visibility":              {Values: []string{"PRIVATE"}},
			"VpcConfig":               projectNetwork,
		},
	}
}

// The parts of a project.
var (
	artifacts = Property{Kind: Object, Fields: map[string]Property{
		"ArtifactIdentifier":   {},
		"EncryptionDisabled":   {Kind: Boolean},
		"Location":             {},
		"Name":                 {},
		"NamespaceType":        {Values: []string{"BUILD_ID", "NONE"}},
		"OverrideArtifactName": {Kind: Boolean},
		"Packaging":            {Values: []string{"NONE", "ZIP"}},
		"Path":                 {},
		"Type":                 {Required: true, Values: []string{"NO_ARTIFACTS", "S3"}},
	}}
	secondaryVersion = Property{Kind: Object, Fields: map[string]Property{
		"SourceIdentifier": {Required: true}, "SourceVersion": {},
	}}
	projectCache = Property{Kind: Object, Fields: map[string]Property{
		"Location": {Refused: "builds keep no cache; use the image cache"},
		"Modes":    {Refused: "builds keep no cache; use the image cache"},
		"Type":     {Required: true, Values: []string{"NO_CACHE"}},
	}}
	projectEnvironment = Property{Kind: Object, Required: true, Fields: map[string]Property{
		"Certificate": {Refused: "builds trust what the machine trusts"},
		"ComputeType": {Required: true, Values: []string{
			"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE",
		}},
		"DockerServer": {Refused: "it has no Docker servers; its BuildKit keeps layers between builds anyway"},
		"EnvironmentVariables": {Kind: List, Items: &Property{Kind: Object, Fields: map[string]Property{
			"Name":  {Required: true},
			"Type":  {Values: []string{"PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"}},
			"Value": {Required: true},
		}}},
		"Fleet":                    {Refused: "it has no fleets"},
		"Image":                    {Required: true},
		"ImagePullCredentialsType": {Inert: "the image is not pulled: builds run on this machine", Values: []string{"CODEBUILD", "SERVICE_ROLE"}},
		"PrivilegedMode":           {Kind: Boolean},
		"RegistryCredential":       {Refused: "the image is not pulled: builds run on this machine"},
		"Type":                     {Required: true, Values: []string{"LINUX_CONTAINER", "ARM_CONTAINER"}},
	}}
	projectLogs = Property{Kind: Object, Fields: map[string]Property{
		"CloudWatchLogs": {Kind: Object, Fields: map[string]Property{
			"GroupName":  {},
			"Status":     {Required: true, Values: []string{"ENABLED", "DISABLED"}},
			"StreamName": {},
		}},
		"S3Logs": {Kind: Object, Fields: map[string]Property{
			"EncryptionDisabled": {Kind: Boolean},
			"Location":           {},
			"Status":             {Required: true, Values: []string{"DISABLED"}},
		}},
	}}
	projectNetwork = Property{Kind: Object, Fields: map[string]Property{
		"SecurityGroupIds": {Kind: List}, "Subnets": {Kind: List}, "VpcId": {},
	}}
	projectSource = Property{Kind: Object, Fields: map[string]Property{
		"Auth": {Kind: Object, Fields: map[string]Property{
			"Resource": {Required: true},
			"Type":     {Required: true, Values: []string{"CODECONNECTIONS"}},
		}},
		"BuildSpec":           {},
		"BuildStatusConfig":   {Refused: "it reports no build status to git hosts"},
		"GitCloneDepth":       {Kind: Integer},
		"GitSubmodulesConfig": {Kind: Object, Fields: map[string]Property{"FetchSubmodules": {Kind: Boolean, Required: true}}},
		"InsecureSsl":         {Kind: Boolean},
		"Location":            {},
		"ReportBuildStatus":   {Kind: Boolean, Values: []string{"false"}},
		"SourceIdentifier":    {},
		"Type": {Required: true, Values: []string{
			"BITBUCKET", "CODECOMMIT", "GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "NO_SOURCE", "S3",
		}},
	}}
)

// required returns a property that must be there.
func required(p Property) Property {
	p.Required = true
	return p
}

func (p projectProvider) Create(ctx context.Context, r Request) (Resource, error) {
	name := r.Name("Name", 150)
	out, err := p.projects.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{name}})
	if err != nil {
		return Resource{}, err
	}
	if len(out.Projects) > 0 {
		return Resource{}, alreadyExists("project", name)
	}
	return p.Update(ctx, r, name)
}

func (p projectProvider) Update(_ context.Context, r Request, name string) (Resource, error) {
	project, err := convert[types.Project](r.Properties)
	if err != nil {
		return Resource{}, err
	}
	project.Name = &name
	made, err := p.projects.PutProject(project)
	if err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: name, Attributes: map[string]any{"Arn": aws.ToString(made.Arn), "Id": name}}, nil
}

func (p projectProvider) Delete(ctx context.Context, _ Request, name string) error {
	_, err := p.projects.DeleteProject(ctx, &codebuild.DeleteProjectInput{Name: &name})
	return err
}
