package secretsmanager

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.CreateSecret),
		wire.Op(s.DeleteSecret),
		wire.Op(s.DescribeSecret),
		wire.Op(s.GetRandomPassword),
		wire.Op(s.GetResourcePolicy),
		wire.Op(s.GetSecretValue),
		wire.Op(s.ListSecrets),
		wire.Op(s.PutSecretValue),
		wire.Op(s.TagResource),
		wire.Op(s.UntagResource),
		wire.Op(s.UpdateSecret),
	}
}
