package secretsmanager_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/secretsmanager"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// A bench is the service behind its real front door, and the SDK's client for
// it.
type bench struct {
	*sdk.Client
	clock *clockwork.FakeClock
}

func newBench(t *testing.T) bench {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	identities, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	must(t, err)
	key, err := identities.RootCredentials()
	must(t, err)
	clock := clockwork.NewFakeClockAt(time.Now())
	service, err := secretsmanager.New(secretsmanager.Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: identities, JSON: []wire.JSONService{
		{Name: "secretsmanager", TargetPrefix: secretsmanager.TargetPrefix, Service: service},
	}}))
	t.Cleanup(server.Close)
	return bench{clock: clock, Client: sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, HTTPClient: wire.NewHTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, "")})}
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

func (b bench) create(t *testing.T, name, value string) string {
	t.Helper()
	out, err := b.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: &name, SecretString: &value})
	must(t, err)
	return *out.ARN
}

func (b bench) value(ctx context.Context, id, stage string) (string, error) {
	out, err := b.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(stage)})
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func TestASecretsVersionsHaveLabels(t *testing.T) {
	b := newBench(t)
	arn := b.create(t, "team/git", "one")
	for _, value := range []string{"two", "three"} {
		_, err := b.PutSecretValue(t.Context(), &sdk.PutSecretValueInput{SecretId: aws.String("team/git"), SecretString: &value})
		must(t, err)
	}
	_, err := b.PutSecretValue(t.Context(), &sdk.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("four"), VersionStages: []string{"AWSPENDING"}})
	must(t, err)
	for stage, want := range map[string]string{"AWSCURRENT": "three", "AWSPREVIOUS": "two", "AWSPENDING": "four"} {
		for _, id := range []string{"team/git", arn, arn[:len(arn)-7]} {
			if got, err := b.value(t.Context(), id, stage); got != want {
				t.Errorf("%s of %s is %q, %v", stage, id, got, err)
			}
		}
	}
	described, err := b.DescribeSecret(t.Context(), &sdk.DescribeSecretInput{SecretId: &arn})
	must(t, err)
	if len(described.VersionIdsToStages) != 3 {
		t.Errorf("versions: %v", described.VersionIdsToStages)
	}
	_, err = b.value(t.Context(), arn[:len(arn)-1]+"x", "AWSCURRENT")
	wantError(t, err, "ResourceNotFoundException", "can't find the specified secret")
}

func TestADeletedSecretWaits(t *testing.T) {
	b := newBench(t)
	arn := b.create(t, "a", "one")
	_, err := b.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("a")})
	wantError(t, err, "ResourceExistsException", "already exists")
	_, err = b.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: aws.Int64(7)})
	must(t, err)
	_, err = b.value(t.Context(), "a", "AWSCURRENT")
	wantError(t, err, "InvalidRequestException", "marked for deletion")
	_, err = b.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("a")})
	wantError(t, err, "InvalidRequestException", "scheduled for deletion")
	b.clock.Advance(8 * 24 * time.Hour)
	_, err = b.value(t.Context(), "a", "AWSCURRENT")
	wantError(t, err, "ResourceNotFoundException", "")
	if again := b.create(t, "a", "two"); again == arn {
		t.Error("a new secret has the ARN of the old one")
	}
	_, err = b.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: aws.String("a"), ForceDeleteWithoutRecovery: aws.Bool(true)})
	must(t, err)
	_, err = b.value(t.Context(), "a", "AWSCURRENT")
	wantError(t, err, "ResourceNotFoundException", "")
}

func TestSecretsAreListedInPages(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "b", "c"} {
		b.create(t, name, "value")
	}
	var names []string
	pages := sdk.NewListSecretsPaginator(b.Client, &sdk.ListSecretsInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, s := range page.SecretList {
			names = append(names, *s.Name)
		}
	}
	if strings.Join(names, "") != "abc" {
		t.Errorf("listed %v", names)
	}
}

func TestPasswordsHaveWhatIsRequired(t *testing.T) {
	b := newBench(t)
	for range 20 {
		out, err := b.GetRandomPassword(t.Context(), &sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(4), ExcludeCharacters: aws.String("abc")})
		must(t, err)
		p := *out.RandomPassword
		if len(p) != 4 || strings.ContainsAny(p, "abc ") || !strings.ContainsAny(p, "0123456789") || strings.ToUpper(p) == p || strings.ToLower(p) == p {
			t.Errorf("password %q", p)
		}
	}
	_, err := b.GetRandomPassword(t.Context(), &sdk.GetRandomPasswordInput{PasswordLength: aws.Int64(3)})
	wantError(t, err, "InvalidParameterException", "4 kinds")
}
