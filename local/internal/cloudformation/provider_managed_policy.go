package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
)

// maxManagedPolicy is the most characters of a managed policy, without white space
// (IAM quotas).
const maxManagedPolicy = 6144

// managedPolicyProvider is AWS::IAM::ManagedPolicy. The roles that it names keep its
// document under its ARN, which no inline policy can have as its name.
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
	path := r.String("Path")
	if path == "" {
		path = "/"
	}
	arn := fmt.Sprintf("arn:aws:iam::%s:policy%s%s", p.accountID, path, r.Name("ManagedPolicyName", 128))
	return p.attach(ctx, r, arn)
}

func (p managedPolicyProvider) attach(ctx context.Context, r Request, arn string) (Resource, error) {
	if size := compactSize(document(r.Properties["PolicyDocument"])); size > maxManagedPolicy {
		return Resource{}, fmt.Errorf("Cannot exceed quota for PolicySize: %d (it has %d characters)", maxManagedPolicy, size)
	}
	if _, err := p.inline.Create(ctx, asInline(r, r.Properties, arn)); err != nil {
		return Resource{PhysicalID: arn}, err
	}
	return Resource{PhysicalID: arn, Attributes: map[string]any{"PolicyArn": arn}}, nil
}

// asInline returns a request for the inline policy that stands for the managed one.
func asInline(r Request, properties map[string]any, arn string) Request {
	r.Properties = map[string]any{"PolicyName": arn, "PolicyDocument": properties["PolicyDocument"], "Roles": properties["Roles"]}
	return r
}

func compactSize(document json.RawMessage) int {
	var value any
	if json.Unmarshal(document, &value) != nil {
		return len(document)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return len(document)
	}
	return len(text)
}

func (p managedPolicyProvider) Update(ctx context.Context, r Request, arn string) (Resource, error) {
	if err := p.inline.Delete(ctx, asInline(r, r.Previous, arn), arn); err != nil {
		return Resource{}, err
	}
	return p.attach(ctx, r, arn)
}

func (p managedPolicyProvider) Delete(ctx context.Context, r Request, arn string) error {
	return p.inline.Delete(ctx, asInline(r, r.Properties, arn), arn)
}
