package ssm_test

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/ssm"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// newClient returns the SDK's client of a service behind the real front door.
func newClient(t *testing.T) *sdk.Client {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	clock := clockwork.NewRealClock()
	identities, err := iam.New(iam.Options{Store: db, Clock: clock})
	must(t, err)
	key, err := identities.RootCredentials()
	must(t, err)
	service, err := ssm.New(ssm.Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: identities, JSON: []wire.JSONService{
		{Name: "ssm", TargetPrefix: ssm.TargetPrefix, Service: service},
	}}))
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, HTTPClient: wire.NewHTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, "")})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("error is %v; want %s with %q", err, code, text)
	}
}

func put(name, value string, kind types.ParameterType) *sdk.PutParameterInput {
	return &sdk.PutParameterInput{Name: &name, Value: &value, Type: kind}
}

func TestParametersArePutReadAndDeleted(t *testing.T) {
	c, ctx := newClient(t), t.Context()
	_, err := c.PutParameter(ctx, put("/a/b", "one", "String"))
	must(t, err)
	_, err = c.PutParameter(ctx, put("/a/b", "two", "String"))
	wantError(t, err, "ParameterAlreadyExists", "set the overwrite option")
	again := put("/a/b", "two", "")
	again.Overwrite = aws.Bool(true)
	out, err := c.PutParameter(ctx, again)
	must(t, err)
	_, err = c.PutParameter(ctx, put("plain", "x", "SecureString"))
	must(t, err)
	got, err := c.GetParameters(ctx, &sdk.GetParametersInput{
		Names: []string{"/a/b:2", "arn:aws:ssm:us-east-1:000000000000:parameter/a/b", "plain", "none", "/a/b:1"}, WithDecryption: aws.Bool(true),
	})
	must(t, err)
	var values []string
	for _, p := range got.Parameters {
		values = append(values, *p.Value)
	}
	if out.Version != 2 || strings.Join(values, " ") != "two two x" || strings.Join(got.InvalidParameters, " ") != "none /a/b:1" {
		t.Errorf("version %d, values %v, invalid %v", out.Version, values, got.InvalidParameters)
	}
	_, err = c.GetParameter(ctx, &sdk.GetParameterInput{Name: aws.String("plain")})
	wantError(t, err, "ValidationException", "ask WithDecryption")
	_, err = c.DeleteParameter(ctx, &sdk.DeleteParameterInput{Name: aws.String("/a/b")})
	must(t, err)
	_, err = c.GetParameter(ctx, &sdk.GetParameterInput{Name: aws.String("/a/b")})
	wantError(t, err, "ParameterNotFound", "/a/b")
}

func TestBadParametersAreRefused(t *testing.T) {
	c := newClient(t)
	pattern := put("p", "x", "String")
	pattern.AllowedPattern = aws.String("^[0-9]+$")
	policies := put("p", "1", "String")
	policies.Policies = aws.String("[]")
	for _, test := range []struct {
		in         *sdk.PutParameterInput
		code, text string
	}{
		{put("a b", "x", "String"), "ValidationException", "letters, digits"},
		{put("/aws/x", "x", "String"), "ValidationException", "prefixed"},
		{put("p", "x", ""), "ValidationException", "type is required"},
		{put("p", "x", "Vault"), "ValidationException", "Vault"},
		{put("p", strings.Repeat("x", 4097), "String"), "ValidationException", "4097 bytes"},
		{pattern, "ParameterPatternMismatchException", "allowedPattern"},
		{policies, "ValidationException", "policies is not supported"},
	} {
		_, err := c.PutParameter(t.Context(), test.in)
		wantError(t, err, test.code, test.text)
	}
}
