package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Roles is what the IAM providers need of the engine's IAM.
type Roles interface {
	Role(name string) (iam.Role, bool, error)
	PutRole(iam.Role) error
	DeleteRole(name string) error
	PutRolePolicy(roleName, policyName string, document json.RawMessage) error
	DeleteRolePolicy(roleName, policyName string) error
}

// rolesOnly is why the IAM types refuse what they refuse.
const rolesOnly = "it has no users or groups, only roles"

// managedPolicy is the ARN of one of the few managed policies that the engine
// has.
var managedPolicy = Property{Check: func(arn any) error { return WithoutCode(iam.CheckManagedPolicy(text(arn))) }}

// roleProvider is AWS::IAM::Role.
type roleProvider struct{ roles Roles }

func (roleProvider) Schema() Schema {
	policies := Property{Kind: List, Items: &Property{Kind: Object, Fields: map[string]Property{
		"PolicyName":     {Required: true},
		"PolicyDocument": {Kind: JSON, Required: true},
	}}}
	return Schema{
		Attributes: []string{"Arn", "RoleId"},
		Capability: "CAPABILITY_IAM",
		NamedBy:    "RoleName",
		Properties: map[string]Property{
			"AssumeRolePolicyDocument": {Kind: JSON, Required: true},
			"Description":              {},
			"ManagedPolicyArns":        {Kind: List, Items: &managedPolicy},
			"MaxSessionDuration":       {Kind: Integer, Inert: "a caller's sessions last an hour at most, those of builds as long as they"},
			"Path":                     {CreateOnly: true},
			"PermissionsBoundary":      {Refused: "it evaluates no permissions boundaries, and a role without its boundary could do more than it should"},
			"Policies":                 policies,
			"RoleName":                 {CreateOnly: true},
			"Tags":                     tagList,
		},
	}
}

func (p roleProvider) Create(_ context.Context, r Request) (Resource, error) {
	name := r.Name("RoleName", 64)
	_, exists, err := p.roles.Role(name)
	if err != nil {
		return Resource{}, err
	}
	if exists {
		return Resource{}, alreadyExists("role", name)
	}
	return p.put(r, name, nil)
}

// Update keeps the policies that AWS::IAM::Policy resources gave the role.
func (p roleProvider) Update(_ context.Context, r Request, name string) (Resource, error) {
	role, found, err := p.roles.Role(name)
	if err != nil {
		return Resource{}, err
	}
	if !found {
		return Resource{}, fmt.Errorf("role %s is gone; it was deleted outside of CloudFormation", name)
	}
	kept := maps.Clone(role.Policies)
	for _, policy := range items(r.Previous["Policies"]) {
		delete(kept, text(object(policy)["PolicyName"]))
	}
	return p.put(r, name, kept)
}

func (p roleProvider) put(r Request, name string, policies map[string]json.RawMessage) (Resource, error) {
	if policies == nil {
		policies = map[string]json.RawMessage{}
	}
	for _, policy := range items(r.Properties["Policies"]) {
		policies[text(object(policy)["PolicyName"])] = document(object(policy)["PolicyDocument"])
	}
	err := p.roles.PutRole(iam.Role{
		Name:        name,
		Path:        r.String("Path"),
		Description: r.String("Description"),
		TrustPolicy: document(r.Properties["AssumeRolePolicyDocument"]),
		Policies:    policies,

		ManagedPolicies: texts(r.Properties["ManagedPolicyArns"]),
		Tags:            tagMap(r.Properties["Tags"]),
	})
	if err != nil {
		return Resource{}, err
	}
	role, _, err := p.roles.Role(name)
	return Resource{PhysicalID: name, Attributes: map[string]any{"Arn": role.ARN, "RoleId": role.ID}}, err
}

// tagMap are the tags of a property, by key.
func tagMap(property any) map[string]string {
	tags := map[string]string{}
	for _, tag := range items(property) {
		tags[text(object(tag)["Key"])] = text(object(tag)["Value"])
	}
	return tags
}

// keysGone returns the keys of tags that are no more, in order.
func keysGone(before, after map[string]string) (gone []string) {
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[key]; !kept {
			gone = append(gone, key)
		}
	}
	return gone
}

func (p roleProvider) Delete(_ context.Context, _ Request, name string) error {
	return p.roles.DeleteRole(name)
}

// policyProvider is AWS::IAM::Policy, an inline policy of one or more roles.
type policyProvider struct{ roles Roles }

func (policyProvider) Schema() Schema {
	return Schema{
		Capability: "CAPABILITY_IAM",
		Properties: map[string]Property{
			"Groups":         {Kind: List, Refused: rolesOnly},
			"PolicyDocument": {Kind: JSON, Required: true},
			"PolicyName":     {Required: true},
			"Roles":          {Kind: List, Required: true},
			"Users":          {Kind: List, Refused: rolesOnly},
		},
	}
}

func (p policyProvider) Create(_ context.Context, r Request) (Resource, error) {
	id := r.Name("", 64)
	for _, role := range items(r.Properties["Roles"]) {
		if err := p.roles.PutRolePolicy(text(role), r.String("PolicyName"), document(r.Properties["PolicyDocument"])); err != nil {
			return Resource{PhysicalID: id}, err
		}
	}
	return Resource{PhysicalID: id}, nil
}

func (p policyProvider) Update(ctx context.Context, r Request, id string) (Resource, error) {
	before := r
	before.Properties = r.Previous
	if err := p.Delete(ctx, before, id); err != nil {
		return Resource{}, err
	}
	if _, err := p.Create(ctx, r); err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: id}, nil
}

func (p policyProvider) Delete(_ context.Context, r Request, _ string) error {
	for _, role := range items(r.Properties["Roles"]) {
		err := p.roles.DeleteRolePolicy(text(role), r.String("PolicyName"))
		if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "NoSuchEntity" {
			continue // the role went first, and its policies with it
		}
		if err != nil {
			return err
		}
	}
	return nil
}
