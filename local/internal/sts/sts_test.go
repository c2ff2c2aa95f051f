package sts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

const roles = `{"Resources": {
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
	wantError(err, "ValidationError", `"a b"`)
	_, err = assume("ours", func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}} })
	wantError(err, "ValidationError", "does not support Tags")

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
