package resources

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// MaxManagedPolicy is the most characters of a managed policy, without white
// space (IAM quotas).
const MaxManagedPolicy = 6144

// managedPolicyProvider is AWS::IAM::ManagedPolicy. The roles that it names
// keep its document under its ARN, which no inline policy can have as its name.
type managedPolicyProvider struct {
	inline    policyProvider
	accountID string
}

func (managedPolicyProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"PolicyArn"},
		Capability: "CAPABILITY_IAM",
		NamedBy:    "ManagedPolicyName",
		Properties: map[string]Property{
			"Description":       {CreateOnly: true},
			"Groups":            {Kind: List, Refused: rolesOnly},
			"ManagedPolicyName": {CreateOnly: true},
			"Path":              {CreateOnly: true},
			"PolicyDocument":    {Kind: JSON, Required: true},
			"Roles":             {Kind: List},
			"Users":             {Kind: List, Refused: rolesOnly},
		},
	}
}

func (p managedPolicyProvider) Create(ctx context.Context, r Request) (Resource, error) {
	path := cmp.Or(r.String("Path"), "/")
	arn := fmt.Sprintf("arn:aws:iam::%s:policy%s%s", p.accountID, path, r.Name("ManagedPolicyName", 128))
	if err := checkManagedSize(r); err != nil {
		return Resource{}, err
	}
	_, err := p.inline.Create(ctx, asInline(r, r.Properties, arn))
	return managedPolicyResource(arn), err
}

func (p managedPolicyProvider) Update(ctx context.Context, r Request, arn string) (Resource, error) {
	if err := checkManagedSize(r); err != nil {
		return Resource{}, err
	}
	inline := asInline(r, r.Properties, arn)
	inline.Previous = asInline(r, r.Previous, arn).Properties
	_, err := p.inline.Update(ctx, inline, arn)
	return managedPolicyResource(arn), err
}

func (p managedPolicyProvider) Delete(ctx context.Context, r Request, arn string) error {
	return p.inline.Delete(ctx, asInline(r, r.Properties, arn), arn)
}

func managedPolicyResource(arn string) Resource {
	return Resource{PhysicalID: arn, Attributes: map[string]any{"PolicyArn": arn}}
}

// asInline returns a request for the inline policy that stands for the managed
// one.
func asInline(r Request, properties map[string]any, arn string) Request {
	r.Properties = map[string]any{"PolicyName": arn, "PolicyDocument": properties["PolicyDocument"], "Roles": properties["Roles"]}
	return r
}

func checkManagedSize(r Request) error {
	var text bytes.Buffer
	if err := json.Compact(&text, document(r.Properties["PolicyDocument"])); err != nil {
		return err
	}
	if size := text.Len(); size > MaxManagedPolicy {
		return fmt.Errorf("the policy document has %d characters, more than the quota for PolicySize: %d", size, MaxManagedPolicy)
	}
	return nil
}
