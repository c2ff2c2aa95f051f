package logs

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.CreateLogGroup),
		wire.Op(s.CreateLogStream),
		wire.Op(s.DeleteLogGroup),
		wire.Op(s.DeleteRetentionPolicy),
		wire.Op(s.DescribeLogGroups),
		wire.Op(s.DescribeLogStreams),
		wire.Op(s.FilterLogEvents),
		wire.Op(s.GetLogEvents),
		wire.Op(s.ListTagsForResource),
		wire.Op(s.PutLogEvents),
		wire.Op(s.PutRetentionPolicy),
		wire.Op(s.TagResource),
		wire.Op(s.UntagResource),
	}
}
