package iam

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func TestManagedPoliciesAllowWhatAWSsDo(t *testing.T) {
	const prefix = "arn:aws:iam::aws:policy/"
	for _, test := range []struct {
		policy, action string
		allowed        bool
	}{
		{"AdministratorAccess", "codebuild:StartBuild", true},
		{"AdministratorAccess", "iam:PassRole", true},
		{"AWSCloudFormationReadOnlyAccess", "cloudformation:DescribeStacks", true},
		{"AWSCloudFormationReadOnlyAccess", "cloudformation:GetTemplate", true},
		{"AWSCloudFormationReadOnlyAccess", "cloudformation:CreateChangeSet", false},
		{"AWSCloudFormationReadOnlyAccess", "s3:GetObject", false},
		{"ReadOnlyAccess", "s3:GetObject", true},
		{"ReadOnlyAccess", "ssm:GetParameter", true},
		{"ReadOnlyAccess", "codebuild:BatchGetBuilds", true},
		{"ReadOnlyAccess", "secretsmanager:GetSecretValue", false},
		{"ReadOnlyAccess", "s3:PutObject", false},
		{"ReadOnlyAccess", "codebuild:StartBuild", false},
		{"ReadOnlyAccess", "ecr:PutImage", false},
	} {
		s, _ := newService(t)
		must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust), ManagedPolicies: []string{prefix + test.policy}}))
		err := s.Authorize(WithPrincipal(context.Background(), Principal{RoleName: "r"}), Permission{Action: test.action, Resource: "arn:aws:any"})
		if (err == nil) != test.allowed {
			t.Errorf("%s, %s: %v", test.policy, test.action, err)
		}
	}
}

func TestAnInlineDenyWinsOverAManagedAllow(t *testing.T) {
	s, _ := newService(t)
	role := Role{
		Name: "r", TrustPolicy: json.RawMessage(trust), ManagedPolicies: []string{"arn:aws:iam::aws:policy/AdministratorAccess"},
		Policies: map[string]json.RawMessage{"p": json.RawMessage(`{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`)},
	}
	must(t, s.PutRole(role))
	ctx := WithPrincipal(context.Background(), Principal{RoleName: "r"})
	wantCode(t, s.Authorize(ctx, Permission{Action: "s3:GetObject", Resource: "*"}), "AccessDeniedException")
	must(t, s.Authorize(ctx, Permission{Action: "ecr:PutImage", Resource: "*"}))
	role.ManagedPolicies = nil
	must(t, s.PutRole(role))
	wantCode(t, s.Authorize(ctx, Permission{Action: "ecr:PutImage", Resource: "*"}), "AccessDeniedException")
}

func TestOtherManagedPoliciesAreRefusedByName(t *testing.T) {
	s, _ := newService(t)
	for _, arn := range []string{"arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::000000000000:policy/AdministratorAccess", ""} {
		err := s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust), ManagedPolicies: []string{arn}})
		wantCode(t, err, "NoSuchEntity")
		if !strings.Contains(err.Error(), arn) {
			t.Errorf("%s: %v", arn, err)
		}
	}
}
