package iamapi_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

const (
	trust  = `{"Version":"2012-10-17","Statement":{"Sid":"a b","Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"000000000000"}}}`
	policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"arn:aws:iam::000000000000:role/team/r"}}`
)

func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("error %v, want %s with %q", err, code, text)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func decode(t *testing.T, document *string) string {
	t.Helper()
	text, err := url.PathUnescape(aws.ToString(document)) // leaves a + alone, which AWS never sends for a space
	must(t, err)
	return text
}

func createRole(t *testing.T, client *iam.Client, name string) *types.Role {
	t.Helper()
	out, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: &name, Path: aws.String("/team/"), Description: aws.String("d"), MaxSessionDuration: aws.Int32(3600),
		AssumeRolePolicyDocument: aws.String(trust), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}},
	})
	must(t, err)
	return out.Role
}

func TestRoles(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	client, ctx, name := iam.NewFromConfig(engine.Config()), t.Context(), aws.String("r")
	created := createRole(t, client, "r")
	got, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	must(t, err)
	r := got.Role
	if *r.Arn != "arn:aws:iam::000000000000:role/team/r" || *r.RoleId != *created.RoleId || *r.Description != "d" || *r.Path != "/team/" ||
		*r.MaxSessionDuration != 3600 || r.CreateDate.IsZero() || !r.CreateDate.Equal(*created.CreateDate) || len(r.Tags) != 1 || decode(t, r.AssumeRolePolicyDocument) != trust {
		t.Errorf("the role is %+v", r)
	}
	_, err = client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, "EntityAlreadyExists", "Role with name r already exists.")

	other := strings.Replace(trust, "000000000000", "arn:aws:iam::000000000000:root", 1)
	_, err = client.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: &other})
	must(t, err)
	_, err = client.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, Description: aws.String("e")})
	must(t, err)
	if got, err = client.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); err != nil || *got.Role.Description != "e" || decode(t, got.Role.AssumeRolePolicyDocument) != other {
		t.Errorf("the changed role is %+v, %v", got, err)
	}
	changed, err := client.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: name, Description: aws.String("f")})
	if err != nil || *changed.Role.Description != "f" {
		t.Errorf("UpdateRoleDescription = %+v, %v", changed, err)
	}
	profiles, err := client.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name})
	if err != nil || len(profiles.InstanceProfiles) > 0 {
		t.Errorf("ListInstanceProfilesForRole = %+v, %v", profiles, err)
	}
	createRole(t, client, "s")
	var names []string
	pages := iam.NewListRolesPaginator(client, &iam.ListRolesInput{PathPrefix: aws.String("/team/"), MaxItems: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		must(t, err)
		names = append(names, fmt.Sprint(len(page.Roles), *page.Roles[0].RoleName, len(page.Roles[0].Tags)))
	}
	if got := strings.Join(names, ","); got != "1r0,1s0" {
		t.Errorf("the pages of roles are %s", got)
	}
	if out, err := client.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/other/")}); err != nil || len(out.Roles) > 0 {
		t.Errorf("the roles under another path are %+v, %v", out, err)
	}
	_, err = client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	must(t, err)
	_, err = client.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	wantError(t, err, "NoSuchEntity", "The role with name r cannot be found.")
	_, err = client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	wantError(t, err, "NoSuchEntity", "r")
}

func TestRolesThatAreRefused(t *testing.T) {
	client := iam.NewFromConfig(localtest.New(t, localtest.SimulateBuilds(nil)).Config())
	tag := types.Tag{Key: aws.String("k"), Value: aws.String("")}
	for _, test := range []struct {
		change     func(*iam.CreateRoleInput)
		code, text string
	}{
		{func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = aws.String("{") }, "MalformedPolicyDocument", "not a policy document"},
		{func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = aws.String(policy) }, "MalformedPolicyDocument", "Missing required field Principal"},
		{func(in *iam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = aws.String(strings.Replace(trust, `"Action"`, `"Resource": "*", "Action"`, 1))
		}, "MalformedPolicyDocument", "prohibited field Resource"},
		{func(in *iam.CreateRoleInput) {
			in.PermissionsBoundary = aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")
		}, "ValidationError", "PermissionsBoundary is not supported"},
		{func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(7200) }, "ValidationError", "MaxSessionDuration 7200 is not supported"},
		{func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(60) }, "ValidationError", "maxSessionDuration"},
		{func(in *iam.CreateRoleInput) { in.RoleName = aws.String("a b") }, "ValidationError", "roleName"},
		{func(in *iam.CreateRoleInput) { in.Path = aws.String("team") }, "ValidationError", "path"},
		{func(in *iam.CreateRoleInput) {
			in.Tags = []types.Tag{tag, {Key: aws.String("K"), Value: aws.String("")}}
		}, "InvalidInput", "Duplicate tag keys"},
	} {
		in := &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trust)}
		test.change(in)
		_, err := client.CreateRole(t.Context(), in)
		wantError(t, err, test.code, test.text)
	}
	if out, err := client.ListRoles(t.Context(), nil); err != nil || len(out.Roles) > 0 {
		t.Errorf("the roles are %+v, %v", out, err)
	}
}

func TestPoliciesOfARole(t *testing.T) {
	client := iam.NewFromConfig(localtest.New(t, localtest.SimulateBuilds(nil)).Config())
	ctx, name, managed := t.Context(), aws.String("r"), aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")
	createRole(t, client, "r")
	put := func(role, document string) error {
		_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("p"), PolicyDocument: &document})
		return err
	}
	must(t, put("r", policy))
	got, err := client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")})
	if err != nil || *got.RoleName != "r" || *got.PolicyName != "p" || decode(t, got.PolicyDocument) != policy {
		t.Errorf("GetRolePolicy = %+v, %v", got, err)
	}
	wantError(t, put("none", policy), "NoSuchEntity", "none")
	wantError(t, put("r", "no"), "MalformedPolicyDocument", "not a policy document")
	wantError(t, put("r", trust), "MalformedPolicyDocument", "should not specify a principal")
	wantError(t, put("r", `{"Statement": {"Effect": "Allow", "Action": "s3:*"}}`), "MalformedPolicyDocument", "must contain resources")
	wantError(t, put("r", strings.Replace(policy, "iam:GetRole", "iam:"+strings.Repeat("x", 10240), 1)), "LimitExceeded", "10240 bytes exceeded for role r")

	attach := func(arn *string) error {
		_, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: arn})
		return err
	}
	must(t, attach(managed))
	must(t, attach(managed))
	wantError(t, attach(aws.String("arn:aws:iam::aws:policy/AmazonS3FullAccess")), "NoSuchEntity", "AmazonS3FullAccess")
	inline, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: name})
	must(t, err)
	attached, err := client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	must(t, err)
	if len(inline.PolicyNames) != 1 || inline.PolicyNames[0] != "p" || len(attached.AttachedPolicies) != 1 || *attached.AttachedPolicies[0].PolicyName != "ReadOnlyAccess" {
		t.Errorf("the role has the policies %q and %+v", inline.PolicyNames, attached.AttachedPolicies)
	}

	remove := func() error {
		_, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
		return err
	}
	wantError(t, remove(), "DeleteConflict", "must detach all policies first")
	_, err = client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: managed})
	must(t, err)
	_, err = client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: managed})
	wantError(t, err, "NoSuchEntity", "ReadOnlyAccess was not found")
	wantError(t, remove(), "DeleteConflict", "must delete policies first")
	_, err = client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")})
	must(t, err)
	_, err = client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")})
	wantError(t, err, "NoSuchEntity", "The role policy with name p cannot be found.")
	_, err = client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")})
	wantError(t, err, "NoSuchEntity", "The role policy with name p cannot be found.")
	must(t, remove())
}

func TestTagsOfARole(t *testing.T) {
	client := iam.NewFromConfig(localtest.New(t, localtest.SimulateBuilds(nil)).Config())
	ctx, name := t.Context(), aws.String("r")
	createRole(t, client, "r")
	tag := func(key string) error {
		_, err := client.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: &key, Value: aws.String("2")}}})
		return err
	}
	must(t, tag("A"))
	must(t, tag("b"))
	must(t, tag("c"))
	_, err := client.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"b", "none"}})
	must(t, err)
	out, err := client.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name})
	must(t, err)
	got := ""
	for _, tag := range out.Tags {
		got += *tag.Key + *tag.Value + " "
	}
	if got != "A2 c2 " {
		t.Errorf("the tags are %s", got)
	}
	for i := range 48 {
		must(t, tag(fmt.Sprint("k", i)))
	}
	wantError(t, tag("more"), "LimitExceeded", "50")
}

// A role's session may do with roles what its policies say, of which a path is
// part.
func TestPermissions(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil))
	client, cfg, ctx := iam.NewFromConfig(engine.Config()), engine.Config(), t.Context()
	r := createRole(t, client, "r")
	createRole(t, client, "s")
	_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p"), PolicyDocument: aws.String(policy)})
	must(t, err)
	cfg.Credentials = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(engine.Config()), *r.Arn)
	session := iam.NewFromConfig(cfg)
	_, err = session.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})
	must(t, err)
	_, err = session.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("s")})
	wantError(t, err, "AccessDenied", "iam:GetRole on resource: arn:aws:iam::000000000000:role/team/s")
	_, err = session.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")})
	wantError(t, err, "AccessDenied", "iam:DeleteRole on resource: arn:aws:iam::000000000000:role/team/r")
	_, err = session.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("t"), Path: aws.String("/x/"), AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, "AccessDenied", "iam:CreateRole on resource: arn:aws:iam::000000000000:role/x/t")
	_, err = session.ListRoles(ctx, nil)
	wantError(t, err, "AccessDenied", "iam:ListRoles on resource: *")
}

// IAM has no regions: its clients sign for us-east-1 wherever they are.
func TestRequestsAreForTheGlobalRegion(t *testing.T) {
	engine := localtest.New(t, localtest.SimulateBuilds(nil), localtest.WithRegion("eu-central-1"))
	for _, region := range []string{"us-east-1", "eu-central-1"} {
		cfg := engine.Config()
		cfg.Region = region
		if _, err := iam.NewFromConfig(cfg).ListRoles(t.Context(), nil); err != nil {
			t.Errorf("signed for %s: %v", region, err)
		}
	}
	cfg := engine.Config()
	cfg.Region = "us-east-1"
	if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); err == nil {
		t.Error("STS takes requests for another region")
	}
}
