package ssm

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.AddTagsToResource),
		wire.Op(s.DeleteParameter),
		wire.Op(s.DescribeParameters),
		wire.Op(s.GetParameter),
		wire.Op(s.GetParameters),
		wire.Op(s.GetParametersByPath),
		wire.Op(s.ListTagsForResource),
		wire.Op(s.PutParameter),
		wire.Op(s.RemoveTagsFromResource),
	}
}
