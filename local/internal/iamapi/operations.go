package iamapi

import "github.com/codebuild-flex/flexbuild/local/internal/wire"

// Operations returns the operations that the service has.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op(s.AttachRolePolicy),
		wire.Op(s.CreateRole),
		wire.Op(s.DeleteRole),
		wire.Op(s.DeleteRolePolicy),
		wire.Op(s.DetachRolePolicy),
		wire.Op(s.GetRole),
		wire.Op(s.GetRolePolicy),
		wire.Op(s.ListAttachedRolePolicies),
		wire.Op(s.ListInstanceProfilesForRole),
		wire.Op(s.ListRolePolicies),
		wire.Op(s.ListRoleTags),
		wire.Op(s.ListRoles),
		wire.Op(s.PutRolePolicy),
		wire.Op(s.TagRole),
		wire.Op(s.UntagRole),
		wire.Op(s.UpdateAssumeRolePolicy),
		wire.Op(s.UpdateRole),
		wire.Op(s.UpdateRoleDescription),
	}
}
