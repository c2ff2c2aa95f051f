package sts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

const roles = `{"Resources": {
	"Tagged": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "tagged", "Tags": [{"Key": "team", "Value": "none"}],
		"AssumeRolePolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}},
			{"Effect": "Allow", "Action": "sts:TagSession", "Principal": {"AWS": "000000000000"}, "Condition": {"StringNotEquals": {"aws:RequestTag/team": "c"}}}]},
		"Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "arn:aws:iam::000000000000:role/tagged"},
			{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "a"}}}]}}]}},
	"Ours": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "ours",
		"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}}},
		"Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::000000000000:role/next"}}}]}},
	"Next": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "next",
		"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": {"Fn::GetAtt": ["Ours", "Arn"]}},
			"Condition": {"StringEquals": {"sts:ExternalId": "secret"}}}}}},
	"Service": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "service",
		"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}}}}
}}`

func TestAssumeRole(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	engine.Deploy(t, "roles", roles)
	cfg := engine.Config()
	assume := func(role string, change func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
		in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/" + role), RoleSessionName: aws.String("me@work")}
		if change != nil {
			change(in)
		}
		return sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
	}
	wantError := func(err error, code, text string) {
		t.Helper()
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
			t.Errorf("error %v, want %s with %q", err, code, text)
		}
	}
	withSecret := func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("secret") }

	_, err := assume("none", nil)
	wantError(err, "AccessDenied", "role/none")
	_, err = assume("service", nil)
	wantError(err, "AccessDenied", "the role's trust policy does not allow it")
	_, err = assume("next", withSecret)
	wantError(err, "AccessDenied", "is not authorized to perform: sts:AssumeRole")
	_, err = assume("ours", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) })
	wantError(err, "ValidationError", "give 900 to 3600")
	_, err = assume("ours", func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") })
	wantError(err, "ValidationError", "Value 'a b' at 'roleSessionName' failed")
	_, err = assume("ours", func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}} })
	wantError(err, "AccessDenied", "sts:TagSession")
	_, err = assume("ours", func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("me") })
	wantError(err, "ValidationError", "does not support SourceIdentity")

	out, err := assume("ours", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := *out.AssumedRoleUser.Arn; got != "arn:aws:sts::000000000000:assumed-role/ours/me@work" {
		t.Errorf("the session is %s", got)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil || *identity.Arn != *out.AssumedRoleUser.Arn || *identity.UserId != *out.AssumedRoleUser.AssumedRoleId {
		t.Errorf("the caller is %+v: %v", identity, err)
	}
	_, err = assume("next", nil)
	wantError(err, "AccessDenied", "trust policy")
	if _, err = assume("next", withSecret); err != nil {
		t.Error(err)
	}
	_, err = assume("ours", nil)
	wantError(err, "AccessDenied", "no identity-based policy allows")
}

// Policies see the tags of a session if its role's trust policy allows them.
// Sessions that are started from it have its transitive tags.
func TestSessionTags(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	engine.Deploy(t, "roles", roles)
	assume := func(cfg aws.Config, team string, transitive ...string) (aws.Config, error) {
		in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/tagged"), RoleSessionName: aws.String("me"), TransitiveTagKeys: transitive}
		if team != "" {
			in.Tags = []types.Tag{{Key: aws.String("team"), Value: &team}}
		}
		out, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
		if err == nil {
			cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
		}
		return cfg, err
	}
	mayList := func(cfg aws.Config) bool {
		_, err := s3.NewFromConfig(cfg).ListBuckets(t.Context(), nil)
		return err == nil
	}
	for _, test := range []struct {
		team    string
		allowed bool
	}{{"a", true}, {"b", false}, {"", false}} { // without a tag of its own the session has its role's
		session, err := assume(engine.Config(), test.team)
		if err != nil || mayList(session) != test.allowed {
			t.Errorf("with the tag %q: %v, and it is not %v that it may", test.team, err, test.allowed)
		}
	}
	if _, err := assume(engine.Config(), "c"); err == nil || !strings.Contains(err.Error(), "sts:TagSession") {
		t.Errorf("a tag that the trust policy does not allow: %v", err)
	}
	if _, err := assume(engine.Config(), "a", "other"); err == nil || !strings.Contains(err.Error(), "other must be included") {
		t.Errorf("a transitive key without its tag: %v", err)
	}
	first, err := assume(engine.Config(), "a", "team")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := assume(first, "b"); err == nil || !strings.Contains(err.Error(), "the caller's own and transitive") {
		t.Errorf("a transitive tag is given anew: %v", err)
	}
	second, err := assume(first, "")
	if err != nil || !mayList(second) {
		t.Errorf("the second session: %v, or its tag is not there", err)
	}
}
