package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole",
	"Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"},"ArnLike":{"aws:SourceArn":"arn:aws:codebuild:us-east-1:000000000000:project/flexbuild"}}}]}`

func newService(t *testing.T) (*Service, *clockwork.FakeClock) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	clock := clockwork.NewFakeClock()
	s, err := New(Options{Store: db, Clock: clock})
	must(t, err)
	return s, clock
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error is %v, want code %s", err, code)
	}
}

func TestPoliciesDecide(t *testing.T) {
	const arn = "arn:aws:ecr:us-east-1:000000000000:repository/app"
	tests := []struct {
		name     string
		policies []string
		allowed  bool
	}{
		{"nothing", nil, false},
		{"exact", []string{`{"Effect":"Allow","Action":"ecr:PutImage","Resource":"` + arn + `"}`}, true},
		{"action in other case", []string{`{"Effect":"Allow","Action":"ECR:putimage","Resource":"*"}`}, true},
		{"resource in other case", []string{`{"Effect":"Allow","Action":"ecr:PutImage","Resource":"` + strings.ToUpper(arn) + `"}`}, false},
		{"wildcards", []string{`{"Effect":"Allow","Action":["ecr:Get*","ecr:Put?mage"],"Resource":["arn:aws:ecr:*:*:repository/a*p"]}`}, true},
		{"other action", []string{`{"Effect":"Allow","Action":"ecr:Get*","Resource":"*"}`}, false},
		{"other resource", []string{`{"Effect":"Allow","Action":"ecr:*","Resource":"` + arn + `/*"}`}, false},
		{"deny wins", []string{`{"Effect":"Allow","Action":"*","Resource":"*"}`, `{"Effect":"Deny","Action":"ecr:PutImage","Resource":"*"}`}, false},
		{"NotAction", []string{`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`}, true},
		{"NotResource", []string{`{"Effect":"Allow","Action":"*","NotResource":"` + arn + `"}`}, false},
		{"no resource at all", []string{`{"Effect":"Allow","Action":"*"}`}, false},
		{"condition that holds", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":["1","000000000000"]}}}`}, true},
		{"condition that does not", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:principalaccount":"000000000000"}}}`}, false},
		{"the role of a session", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000000:role/r"}}}`}, true},
		{"a resource of the account", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceAccount":"000000000000"}}}`}, true},
		{"a resource of another account", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceAccount":"000000000000"}}}`}, false},
		{"condition beyond the engine, allowing", []string{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}`}, false},
		{"condition beyond the engine, denying", []string{`{"Effect":"Allow","Action":"*","Resource":"*"}`, `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newService(t)
			must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust)}))
			for i, statement := range test.policies {
				must(t, s.PutRolePolicy("r", fmt.Sprint(i), json.RawMessage(`{"Statement":[`+statement+`]}`)))
			}
			ctx := WithPrincipal(context.Background(), Principal{ARN: "arn:aws:sts::000000000000:assumed-role/r/s", AccountID: AccountID, RoleName: "r"})
			err := s.Authorize(ctx, Permission{Action: "ecr:PutImage", Resource: arn})
			if test.allowed {
				must(t, err)
				return
			}
			wantCode(t, err, "AccessDeniedException")
			const words = "User: arn:aws:sts::000000000000:assumed-role/r/s is not authorized to perform: ecr:PutImage on resource: " + arn
			if !strings.Contains(err.Error(), words) {
				t.Errorf("the error says %v", err)
			}
		})
	}
}

func TestRootMayDoEverythingAndNobodyNothing(t *testing.T) {
	s, _ := newService(t)
	must(t, s.Authorize(WithPrincipal(context.Background(), Root()), Permission{Action: "ecr:PutImage", Resource: "*"}))
	wantCode(t, s.Authorize(context.Background(), Permission{Action: "ecr:PutImage", Resource: "*"}), "AccessDeniedException")
}

func TestTheTrustPolicyDecidesWhoAssumes(t *testing.T) {
	s, clock := newService(t)
	must(t, s.PutRole(Role{Name: "builder", TrustPolicy: json.RawMessage(trust)}))
	good := Assumption{RoleARN: RoleARN("/", "builder"), Session: "b", Service: CodeBuild, SourceARN: "arn:aws:codebuild:us-east-1:000000000000:project/flexbuild", TTL: time.Hour}
	session, err := s.AssumeRole(good)
	must(t, err)
	c := session.Credentials
	if got, p, ok := s.Credentials(c.AccessKeyID); !ok || got != c || p.ARN != "arn:aws:sts::000000000000:assumed-role/builder/b" || p.Root {
		t.Errorf("credentials: %+v %+v %v", got, p, ok)
	}
	if !c.Expires.After(clock.Now().Add(59 * time.Minute)) {
		t.Errorf("expires %s", c.Expires)
	}
	for name, change := range map[string]func(*Assumption){
		"other service": func(a *Assumption) { a.Service = "ec2.amazonaws.com" },
		"other project": func(a *Assumption) { a.SourceARN += "2" },
	} {
		a := good
		change(&a)
		_, err := s.AssumeRole(a)
		t.Log(name)
		wantCode(t, err, "AccessDeniedException")
	}
	other := good
	other.RoleARN = RoleARN("/", "none")
	_, err = s.AssumeRole(other)
	wantCode(t, err, "NoSuchEntity")
}

func TestATrustPolicyMayNameEverybody(t *testing.T) {
	s, _ := newService(t)
	for principal, want := range map[string]struct{ roles, services bool }{
		`"*"`: {true, true}, `{"AWS": "*"}`: {true, false}, `{"AWS": "arn:aws:iam::111122223333:root"}`: {false, false}, `{"Service": "codebuild.amazonaws.com"}`: {false, true},
	} {
		must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(`{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": ` + principal + `}}`)}))
		_, err := s.AssumeRole(Assumption{RoleARN: RoleARN("/", "r"), Session: "root", Principal: Root(), TTL: time.Hour})
		if (err == nil) != want.roles {
			t.Errorf("Principal %s: the account's own keys: %v", principal, err)
		}
		_, err = s.AssumeRole(Assumption{RoleARN: RoleARN("/", "r"), Session: "build", Service: CodeBuild, SourceARN: "arn", TTL: time.Hour})
		if (err == nil) != want.services {
			t.Errorf("Principal %s: CodeBuild: %v", principal, err)
		}
	}
}

func TestSessionsOfADeletedRoleMayDoNothing(t *testing.T) {
	s, _ := newService(t)
	must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust), Policies: map[string]json.RawMessage{"p": json.RawMessage(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)}}))
	ctx := WithPrincipal(context.Background(), Principal{RoleName: "r"})
	must(t, s.Authorize(ctx, Permission{Action: "a:B", Resource: "*"}))
	must(t, s.DeleteRole("r"))
	wantCode(t, s.Authorize(ctx, Permission{Action: "a:B", Resource: "*"}), "AccessDeniedException")
}

func TestMalformedPoliciesAreRefused(t *testing.T) {
	s, _ := newService(t)
	must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust)}))
	for _, document := range []string{``, `{`, `{}`, `{"Statement":[{"Effect":"Maybe","Action":"*"}]}`, `{"Statement":[{"Effect":"Allow"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}]}`, `{"Statement":[{"Effect":"Deny","Action":"*","NotPrincipal":"*"}]}`,
		trust + ` {}`, `{"Statment":[]}`} {
		wantCode(t, s.PutRolePolicy("r", "p", json.RawMessage(document)), "MalformedPolicyDocument")
	}
	wantCode(t, s.PutRolePolicy("none", "p", json.RawMessage(trust)), "NoSuchEntity")
}

func TestRootKeysStayTheSame(t *testing.T) {
	s, _ := newService(t)
	first, err := s.RootCredentials()
	must(t, err)
	second, err := s.RootCredentials()
	must(t, err)
	if first != second || len(first.SecretAccessKey) < 40 {
		t.Errorf("%v, then %v", first, second)
	}
	if _, _, ok := s.Credentials("AKIANOBODY"); ok {
		t.Error("unknown keys are known")
	}
}

func TestPassingARoleMayDependOnTheService(t *testing.T) {
	s, _ := newService(t)
	const policy = `{"Statement":{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"codebuild.amazonaws.com"}}}}`
	must(t, s.PutRole(Role{Name: "r", TrustPolicy: json.RawMessage(trust), Policies: map[string]json.RawMessage{"p": json.RawMessage(policy)}}))
	ctx := WithPrincipal(context.Background(), Principal{RoleName: "r"})
	must(t, s.Authorize(ctx, PassRole(RoleARN("/", "other"), CodeBuild)))
	wantCode(t, s.Authorize(ctx, PassRole(RoleARN("/", "other"), CloudFormation)), "AccessDeniedException")
}

// FuzzMatchWildcard compares the matcher with its definition.
func FuzzMatchWildcard(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 20 {
			t.Skip()
		}
		if got, want := matchWildcard(pattern, text), matchSlowly(pattern, text); got != want {
			t.Errorf("matchWildcard(%q, %q) = %v", pattern, text, got)
		}
	})
}

func matchSlowly(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return matchSlowly(pattern[1:], text) || (text != "" && matchSlowly(pattern, text[1:]))
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && matchSlowly(pattern[1:], text[1:])
}
