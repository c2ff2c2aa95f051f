package sts

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.AssumeRole),
		wire.Op(s.GetCallerIdentity),
	}
}
