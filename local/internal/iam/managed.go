package iam

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// managedPolicies are the policies of AWS's own that the engine knows, by their
// ARN: those that the CDK's bootstrap stack attaches. Documents are AWS's, less
// the actions of services that the engine does not have; and what AWS adds to
// one of its policies later is not here.
var managedPolicies = map[string]json.RawMessage{
	// Everything, as on AWS.
	"arn:aws:iam::aws:policy/AdministratorAccess": allow("*"),
	// Version 7 of February 2026, in full: AWS's document names no other
	// service.
	"arn:aws:iam::aws:policy/AWSCloudFormationReadOnlyAccess": allow(
		"cloudformation:BatchDescribe*", "cloudformation:Describe*", "cloudformation:Detect*", "cloudformation:EstimateTemplateCost",
		"cloudformation:Get*", "cloudformation:List*", "cloudformation:ValidateTemplate",
	),
	// As of February 2026. AWS's document allows the reading operations of
	// nearly every service, some two thousand actions. These are the ones of
	// the engine's services, less those of CloudWatch Logs' features that it
	// does not have. They read objects and parameters, and no secret's value.
	"arn:aws:iam::aws:policy/ReadOnlyAccess": allow(
		"cloudformation:BatchDescribeTypeConfigurations", "cloudformation:Describe*", "cloudformation:Detect*",
		"cloudformation:Estimate*", "cloudformation:Get*", "cloudformation:List*", "cloudformation:ValidateTemplate",
		"codebuild:BatchGet*", "codebuild:DescribeCodeCoverages", "codebuild:DescribeTestCases", "codebuild:List*",
		"ecr:BatchCheck*", "ecr:BatchGet*", "ecr:Describe*", "ecr:Get*", "ecr:List*",
		"logs:Describe*", "logs:FilterLogEvents", "logs:Get*", "logs:ListTagsForResource", "logs:ListTagsLogGroup",
		"s3:DescribeJob", "s3:Get*", "s3:List*",
		"secretsmanager:Describe*", "secretsmanager:GetResourcePolicy", "secretsmanager:List*",
		"ssm:Describe*", "ssm:Get*", "ssm:List*",
		"sts:GetAccessKeyInfo", "sts:GetCallerIdentity", "sts:GetSessionToken",
	),
}

// allow returns a document that allows actions on every resource.
func allow(actions ...string) json.RawMessage {
	document, _ := json.Marshal(map[string]any{ // strings always encode
		"Version":   "2012-10-17",
		"Statement": map[string]any{"Effect": "Allow", "Action": actions, "Resource": "*"},
	})
	return document
}

// CheckManagedPolicy returns an error for a managed policy that the engine does
// not know.
func CheckManagedPolicy(arn string) error {
	if _, known := managedPolicies[arn]; known {
		return nil
	}
	return failure("NoSuchEntity", "%s is no managed policy that the local engine has; it has %s. Put its statements into the role's inline policies",
		arn, strings.Join(slices.Sorted(maps.Keys(managedPolicies)), ", "))
}

// documents returns all policies of a role, each under a name for errors.
func (r Role) documents() map[string]json.RawMessage {
	documents := map[string]json.RawMessage{}
	maps.Copy(documents, r.Policies)
	for _, arn := range r.ManagedPolicies {
		documents[arn] = managedPolicies[arn]
	}
	return documents
}
