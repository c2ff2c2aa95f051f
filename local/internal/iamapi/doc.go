// Package iamapi is the API of the local engine's IAM for roles: what
// Terraform's AWS provider and the AWS CLI call for a role, its inline
// policies, its managed policies and its tags. Package iam keeps the roles.
//
// What the engine cannot enforce is refused by name: permissions boundaries,
// and sessions of more than an hour.
package iamapi
