package ecr

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.BatchDeleteImage),
		wire.Op(s.BatchGetImage),
		wire.Op(s.CreateRepository),
		wire.Op(s.DeleteRepository),
		wire.Op(s.DescribeImages),
		wire.Op(s.DescribeRepositories),
		wire.Op(s.DescribeRepositoryCreationTemplates),
		wire.Op(s.GetAuthorizationToken),
		wire.Op(s.ListImageReferrers),
		wire.Op(s.ListImages),
		wire.Op(s.ListTagsForResource),
		wire.Op(s.PutImageScanningConfiguration),
		wire.Op(s.PutImageTagMutability),
		wire.Op(s.TagResource),
		wire.Op(s.UntagResource),
	}
}
