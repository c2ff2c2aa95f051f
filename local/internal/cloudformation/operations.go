package cloudformation

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.ContinueUpdateRollback),
		wire.Op(s.CreateChangeSet),
		wire.Op(s.CreateStack),
		wire.Op(s.DeleteChangeSet),
		wire.Op(s.DeleteStack),
		wire.Op(s.DescribeChangeSet),
		wire.Op(s.DescribeEvents),
		wire.Op(s.DescribeStackEvents),
		wire.Op(s.DescribeStackResource),
		wire.Op(s.DescribeStackResources),
		wire.Op(s.DescribeStacks),
		wire.Op(s.ExecuteChangeSet),
		wire.Op(s.GetTemplate),
		wire.Op(s.GetTemplateSummary),
		wire.Op(s.ListChangeSets),
		wire.Op(s.ListExports),
		wire.Op(s.ListImports),
		wire.Op(s.ListStackResources),
		wire.Op(s.ListStacks),
		wire.Op(s.RollbackStack),
		wire.Op(s.UpdateStack),
		wire.Op(s.UpdateTerminationProtection),
		wire.Op(s.ValidateTemplate),
	}
}
