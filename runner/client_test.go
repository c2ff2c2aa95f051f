package runner_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/codebuild-flex/flexbuild/runner"
)

func TestNewSaysWhatIsMissing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()
	keys := credentials.NewStaticCredentialsProvider("AKID", "s3cret", "")
	broken := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the profile is empty")
	})
	for name, test := range map[string]struct {
		cfg  aws.Config
		want error
		text string
	}{
		"region":      {aws.Config{Credentials: keys}, runner.ErrInvalidRequest, "AWS_REGION"},
		"credentials": {aws.Config{Region: "us-east-1"}, runner.ErrCredentials, "AWS_ACCESS_KEY_ID"},
		"a profile":   {aws.Config{Region: "us-east-1", Credentials: broken}, runner.ErrCredentials, "the profile is empty"},
		"a way on":    {aws.Config{Region: "us-east-1", Credentials: broken}, runner.ErrCredentials, "aws configure sso"},
		"another one": {aws.Config{Region: "us-east-1", Credentials: broken}, runner.ErrCredentials, `run "flexbuild local" and add --local`},
		"an engine": {aws.Config{Region: "us-east-1", Credentials: keys, BaseEndpoint: &closed, RetryMaxAttempts: 1},
			runner.ErrUnreachable, "flexbuild local"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runner.New(t.Context(), test.cfg, "flexbuild")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("err = %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
	for name, status := range map[string]int{"a web server": http.StatusOK, "a proxy that refuses": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, "<!DOCTYPE html><p>Hello<br></p>")
			}))
			defer server.Close()
			cfg := aws.Config{Region: "us-east-1", Credentials: keys, BaseEndpoint: &server.URL, RetryMaxAttempts: 1}
			if _, err := runner.New(t.Context(), cfg, "flexbuild"); !errors.Is(err, runner.ErrUnreachable) {
				t.Errorf("err = %v", err)
			}
		})
	}
	t.Run("nothing but time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cfg := aws.Config{Region: "us-east-1", Credentials: keys, BaseEndpoint: &closed}
		if _, err := runner.New(ctx, cfg, "flexbuild"); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
	})
}
