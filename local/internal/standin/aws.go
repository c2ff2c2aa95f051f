package standin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
)

// Exit statuses of the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-returncodes.html
const (
	awsServiceError = 254
	awsOtherError   = 255
)

func runAWS(ctx context.Context, in invocation) int {
	if path, found := in.real("aws"); found {
		return in.pass(path, withEndpoint(in.args, in.getenv("AWS_ENDPOINT_URL")))
	}
	options, err := parseLoginPassword(in.args)
	if err != nil {
		return in.fail(exitRefused, "aws: %v", err)
	}
	password, err := loginPassword(ctx, options)
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode() != "":
		return in.fail(awsServiceError, "\nAn error occurred (%s) when calling the GetAuthorizationToken operation: %s", api.ErrorCode(), api.ErrorMessage())
	case err != nil:
		return in.fail(awsOtherError, "\naws: %v", err)
	}
	fmt.Fprintln(in.stdout, password)
	return 0
}

// withEndpoint says in a flag what older AWS CLIs (before 1.29 and 2.13) do not read from the environment.
func withEndpoint(args []string, endpoint string) []string {
	given := slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--endpoint-url" || strings.HasPrefix(arg, "--endpoint-url=")
	})
	if endpoint == "" || given {
		return args
	}
	return append([]string{"--endpoint-url", endpoint}, args...)
}

type loginOptions struct{ region, endpoint string }

// parseLoginPassword reads the one call that the stand-in does: ecr get-login-password.
func parseLoginPassword(args []string) (loginOptions, error) {
	var o loginOptions
	values := map[string]*string{"--region": &o.region, "--endpoint-url": &o.endpoint}
	words, err := parseFlags(args, values, nil)
	if err != nil {
		return o, err
	}
	if !slices.Equal(words, []string{"ecr", "get-login-password"}) {
		return o, notDone("aws " + strings.Join(words, " "))
	}
	return o, nil
}

// notDone refuses a call by name.
func notDone(call string) error {
	return fmt.Errorf("the stand-in for builds on the local engine does not do %q: install the real command to use it", call)
}

func loginPassword(ctx context.Context, o loginOptions) (string, error) {
	cfg, err := config.LoadDefaultConfig(ctx, func(l *config.LoadOptions) error {
		l.Region = o.region
		l.BaseEndpoint = o.endpoint
		return nil
	})
	if err != nil {
		return "", err
	}
	if cfg.Region == "" {
		return "", errors.New("You must specify a region. Use --region or set AWS_REGION.")
	}
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", err
	}
	if len(out.AuthorizationData) == 0 {
		return "", errors.New("GetAuthorizationToken returned no login")
	}
	token, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", fmt.Errorf("GetAuthorizationToken returned a token that is not base64: %w", err)
	}
	_, password, _ := strings.Cut(string(token), ":")
	return password, nil
}
