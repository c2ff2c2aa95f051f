package codebuild

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// Defaults of a project's settings, in minutes.
const (
	defaultTimeout       = 60
	defaultQueuedTimeout = 480
)

// A storedProject is a project with the number of its last build.
type storedProject struct {
	Project   types.Project
	LastBuild int64
}

var projectName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_-]{1,149}$`)

// PutProject creates a project, or replaces the project of that name, and
// returns it with AWS's defaults. It returns an InvalidInputException for what
// CodeBuild does not accept or this engine does not support.
func (s *Service) PutProject(p types.Project) (types.Project, error) {
	if err := s.validateProject(&p); err != nil {
		return types.Project{}, err
	}
	now := s.Clock.Now().UTC()
	stored, err := s.projects.Update(*p.Name, func(old storedProject, found bool) (storedProject, error) {
		created := &now
		if found {
			created = old.Project.Created
		}
		return storedProject{Project: s.complete(p, created, &now), LastBuild: old.LastBuild}, nil
	})
	return stored.Project, err
}

func (s *Service) validateProject(p *types.Project) error {
	switch {
	case !projectName().MatchString(aws.ToString(p.Name)):
		return invalid("Project name %q must have 2 to 150 letters, digits, - and _, and begin with a letter or a digit", aws.ToString(p.Name))
	case p.Source == nil:
		return invalid("Project source is required")
	case p.Environment == nil:
		return invalid("Project environment is required")
	case p.Artifacts == nil:
		return invalid("Project artifacts are required")
	case p.ConcurrentBuildLimit != nil && *p.ConcurrentBuildLimit < 1:
		return invalid("concurrentBuildLimit must be at least 1")
	}
	if err := refuse(unsupportedSettings, p); err != nil {
		return err
	}
	if err := validateVariables(p.Environment.EnvironmentVariables); err != nil {
		return err
	}
	if p.Source.Type == types.SourceTypeNoSource && aws.ToString(p.Source.Location) != "" {
		return noLocation("sourceLocation")
	}
	if err := validateVPC(p.VpcConfig); err != nil {
		return err
	}
	build := compose(*p, &codebuild.StartBuildInput{}, s.Inheritance)
	return s.validate(build, func(setting string) string { return setting })
}

// complete sets the fields that AWS sets.
func (s *Service) complete(p types.Project, created, modified *time.Time) types.Project {
	p.Arn = aws.String(s.arn("project", *p.Name))
	p.Created, p.LastModified = created, modified
	p.TimeoutInMinutes = cmp.Or(p.TimeoutInMinutes, aws.Int32(defaultTimeout))
	p.QueuedTimeoutInMinutes = cmp.Or(p.QueuedTimeoutInMinutes, aws.Int32(defaultQueuedTimeout))
	p.Cache = cmp.Or(p.Cache, &types.ProjectCache{Type: types.CacheTypeNoCache})
	p.EncryptionKey = cmp.Or(p.EncryptionKey, aws.String("arn:aws:kms:"+s.Region+":"+iam.AccountID+":alias/aws/s3"))
	p.Badge = cmp.Or(p.Badge, &types.ProjectBadge{})
	environment := *p.Environment
	environment.EnvironmentVariables = mergeVariables(nil, environment.EnvironmentVariables) // fills in their type
	p.Environment = &environment
	p.SecondaryArtifacts, p.SecondarySources = orEmpty(p.SecondaryArtifacts), orEmpty(p.SecondarySources)
	p.SecondarySourceVersions, p.FileSystemLocations = orEmpty(p.SecondarySourceVersions), []types.ProjectFileSystemLocation{}
	return p
}

// CreateProject creates a project. The caller needs iam:PassRole for its
// service role, as on AWS.
func (s *Service) CreateProject(ctx context.Context, in *codebuild.CreateProjectInput) (*codebuild.CreateProjectOutput, error) {
	p := types.Project{
		Name: in.Name, Description: in.Description, ServiceRole: in.ServiceRole, EncryptionKey: in.EncryptionKey, Tags: in.Tags,
		Source: in.Source, SourceVersion: in.SourceVersion, SecondarySources: in.SecondarySources, SecondarySourceVersions: in.SecondarySourceVersions,
		Artifacts: in.Artifacts, SecondaryArtifacts: in.SecondaryArtifacts, Cache: in.Cache, FileSystemLocations: in.FileSystemLocations,
		Environment: in.Environment, LogsConfig: in.LogsConfig, VpcConfig: in.VpcConfig,
		TimeoutInMinutes: in.TimeoutInMinutes, QueuedTimeoutInMinutes: in.QueuedTimeoutInMinutes,
		ConcurrentBuildLimit: in.ConcurrentBuildLimit, AutoRetryLimit: in.AutoRetryLimit, BuildBatchConfig: in.BuildBatchConfig,
		Badge: badge(in.BadgeEnabled),
	}
	if err := s.validateProject(&p); err != nil {
		return nil, err
	}
	now := s.Clock.Now().UTC()
	stored, err := s.projects.Update(*p.Name, func(old storedProject, found bool) (storedProject, error) {
		if found {
			return old, alreadyExists("Project already exists: %s", s.arn("project", *p.Name))
		}
		return storedProject{Project: s.complete(p, &now, &now)}, nil
	})
	return &codebuild.CreateProjectOutput{Project: &stored.Project}, err
}

// UpdateProject changes the settings of a project that the call has. A setting
// is replaced as a whole.
func (s *Service) UpdateProject(ctx context.Context, in *codebuild.UpdateProjectInput) (*codebuild.UpdateProjectOutput, error) {
	p, err := s.project(aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	merge(&p, in)
	p, err = s.PutProject(p)
	return &codebuild.UpdateProjectOutput{Project: &p}, err
}

// merge replaces the settings of a project by those of the call.
func merge(p *types.Project, in *codebuild.UpdateProjectInput) {
	p.Description = override(p.Description, in.Description)
	p.ServiceRole = override(p.ServiceRole, in.ServiceRole)
	p.EncryptionKey = override(p.EncryptionKey, in.EncryptionKey)
	p.Source = override(p.Source, in.Source)
	p.SourceVersion = override(p.SourceVersion, in.SourceVersion)
	p.Artifacts = override(p.Artifacts, in.Artifacts)
	p.Cache = override(p.Cache, in.Cache)
	p.Environment = override(p.Environment, in.Environment)
	p.LogsConfig = override(p.LogsConfig, in.LogsConfig)
	p.VpcConfig = override(p.VpcConfig, in.VpcConfig)
	p.TimeoutInMinutes = override(p.TimeoutInMinutes, in.TimeoutInMinutes)
	p.QueuedTimeoutInMinutes = override(p.QueuedTimeoutInMinutes, in.QueuedTimeoutInMinutes)
	p.ConcurrentBuildLimit = override(p.ConcurrentBuildLimit, in.ConcurrentBuildLimit)
	if aws.ToInt32(p.ConcurrentBuildLimit) == -1 { // by which the API removes it
		p.ConcurrentBuildLimit = nil
	}
	p.AutoRetryLimit = override(p.AutoRetryLimit, in.AutoRetryLimit)
	p.BuildBatchConfig = override(p.BuildBatchConfig, in.BuildBatchConfig)
	p.Badge = override(p.Badge, badge(in.BadgeEnabled))
	if in.Tags != nil {
		p.Tags = in.Tags
	}
	if in.SecondarySources != nil {
		p.SecondarySources = in.SecondarySources
	}
	if in.SecondarySourceVersions != nil {
		p.SecondarySourceVersions = in.SecondarySourceVersions
	}
	if in.SecondaryArtifacts != nil {
		p.SecondaryArtifacts = in.SecondaryArtifacts
	}
	p.FileSystemLocations = in.FileSystemLocations // a project has none: they are refused if the call has one
}

func badge(enabled *bool) *types.ProjectBadge {
	if enabled == nil {
		return nil
	}
	return &types.ProjectBadge{BadgeEnabled: *enabled}
}

// DeleteProject removes a project and keeps its builds, as on AWS. Removing a
// missing project is not an error.
func (s *Service) DeleteProject(_ context.Context, in *codebuild.DeleteProjectInput) (*codebuild.DeleteProjectOutput, error) {
	return &codebuild.DeleteProjectOutput{}, s.projects.Delete(s.projectName(aws.ToString(in.Name)))
}

// project returns the project of that name or ARN.
func (s *Service) project(nameOrARN string) (types.Project, error) {
	name := s.projectName(nameOrARN)
	stored, found, err := s.projects.Get(name)
	if err == nil && !found {
		err = notFound("Project cannot be found: %s", s.arn("project", name))
	}
	return stored.Project, err
}

// BatchGetProjects describes 1 to 100 projects, by name or ARN. Unknown ones
// are returned by name.
func (s *Service) BatchGetProjects(_ context.Context, in *codebuild.BatchGetProjectsInput) (*codebuild.BatchGetProjectsOutput, error) {
	if err := checkCount("names", len(in.Names), 1, maxBatch); err != nil {
		return nil, err
	}
	out := &codebuild.BatchGetProjectsOutput{}
	for _, name := range unique(in.Names) {
		stored, found, err := s.projects.Get(s.projectName(name))
		switch {
		case err != nil:
			return nil, err
		case found:
			out.Projects = append(out.Projects, stored.Project)
		default:
			out.ProjectsNotFound = append(out.ProjectsNotFound, name)
		}
	}
	return out, nil
}

// projectOrders compare projects for ListProjects.
var projectOrders = map[types.ProjectSortByType]func(a, b store.Entry[storedProject]) int{
	types.ProjectSortByTypeName: func(a, b store.Entry[storedProject]) int { return cmp.Compare(a.Key, b.Key) },
	types.ProjectSortByTypeCreatedTime: func(a, b store.Entry[storedProject]) int {
		return a.Value.Project.Created.Compare(*b.Value.Project.Created)
	},
	types.ProjectSortByTypeLastModifiedTime: func(a, b store.Entry[storedProject]) int {
		return a.Value.Project.LastModified.Compare(*b.Value.Project.LastModified)
	},
}

// ListProjects lists the names of projects, 100 at a time, by name in ascending
// order by default.
func (s *Service) ListProjects(_ context.Context, in *codebuild.ListProjectsInput) (*codebuild.ListProjectsOutput, error) {
	if err := checkEnum("sortBy", in.SortBy, types.ProjectSortByType("").Values()); err != nil {
		return nil, err
	}
	if err := checkEnum("sortOrder", in.SortOrder, types.SortOrderType("").Values()); err != nil {
		return nil, err
	}
	projects, err := s.projects.List("")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(projects, projectOrders[cmp.Or(in.SortBy, types.ProjectSortByTypeName)])
	var names []string
	for _, p := range projects {
		names = append(names, p.Key)
	}
	if in.SortOrder == types.SortOrderTypeDescending {
		slices.Reverse(names)
	}
	page, next, err := pageOf(names, in.NextToken)
	return &codebuild.ListProjectsOutput{Projects: page, NextToken: next}, err
}
