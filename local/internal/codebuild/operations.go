package codebuild

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.BatchGetBuilds),
		wire.Op(s.BatchGetProjects),
		wire.Op(s.CreateProject),
		wire.Op(s.DeleteProject),
		wire.Op(s.ListBuilds),
		wire.Op(s.ListBuildsForProject),
		wire.Op(s.ListProjects),
		wire.Op(s.RetryBuild),
		wire.Op(s.StartBuild),
		wire.Op(s.StopBuild),
		wire.Op(s.UpdateProject),
	}
}
