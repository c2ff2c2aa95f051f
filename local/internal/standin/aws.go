package standin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
)

// Exit statuses of the AWS CLI:
// https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-returncodes.html
const (
	awsServiceError = 254
	awsOtherError   = 255
)

func runAWS(ctx context.Context, in invocation) int {
	if path, found := in.real("aws"); found {
		return in.pass(path, withEndpoint(in.args, in.getenv("AWS_ENDPOINT_URL")))
	}
	call, o, err := parseAWS(in.args)
	if err != nil {
		return in.fail(exitRefused, "aws: %v", err)
	}
	text, err := o.run(ctx, call)
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode() != "":
		return in.fail(awsServiceError, "\nAn error occurred (%s) when calling the %s operation: %s", api.ErrorCode(), call.operation, api.ErrorMessage())
	case err != nil:
		return in.fail(awsOtherError, "\naws: %v", err)
	}
	fmt.Fprintln(in.stdout, text)
	return 0
}

// withEndpoint adds the endpoint as a flag, because AWS CLIs before 1.29 and
// 2.13 do not read it from the environment.
func withEndpoint(args []string, endpoint string) []string {
	given := slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--endpoint-url" || strings.HasPrefix(arg, "--endpoint-url=")
	})
	if endpoint == "" || given {
		return args
	}
	return append([]string{"--endpoint-url", endpoint}, args...)
}

// awsOptions are the flags of all calls.
type awsOptions struct{ region, endpoint, registryID, repositories, repository, images, output string }

// An awsCall is a call of the AWS CLI that the stand-in supports.
type awsCall struct {
	operation string // the API's operation, for error messages
	flags     func(*awsOptions) map[string]*string
	do        func(context.Context, *ecr.Client, awsOptions) (string, error)
}

var awsCalls = map[string]awsCall{
	"ecr get-login-password": {"GetAuthorizationToken", func(*awsOptions) map[string]*string { return nil }, loginPassword},
	"ecr describe-repositories": {"DescribeRepositories", func(o *awsOptions) map[string]*string {
		return map[string]*string{"--registry-id": &o.registryID, "--repository-names": &o.repositories, "--output": &o.output}
	}, describeRepositories},
	"ecr describe-images": {"DescribeImages", func(o *awsOptions) map[string]*string {
		return map[string]*string{"--registry-id": &o.registryID, "--repository-name": &o.repository, "--image-ids": &o.images, "--output": &o.output}
	}, describeImages},
}

// parseAWS finds the call that the first two words name, and parses its flags.
func parseAWS(args []string) (awsCall, awsOptions, error) {
	var o awsOptions
	if len(args) < 2 {
		return awsCall{}, o, notDone(strings.Join(append([]string{"aws"}, args...), " "))
	}
	call, known := awsCalls[args[0]+" "+args[1]]
	if !known {
		return call, o, notDone("aws " + strings.Join(args, " "))
	}
	flags := map[string]*string{"--region": &o.region, "--endpoint-url": &o.endpoint}
	maps.Copy(flags, call.flags(&o))
	words, err := parseFlags(args[2:], flags, nil)
	if err == nil && (len(words) > 0 || o.output != "" && o.output != "json") {
		err = notDone("aws " + strings.Join(args, " "))
	}
	return call, o, err
}

func (o awsOptions) run(ctx context.Context, call awsCall) (string, error) {
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
	return call.do(ctx, ecr.NewFromConfig(cfg), o)
}

func loginPassword(ctx context.Context, client *ecr.Client, _ awsOptions) (string, error) {
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
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

func describeRepositories(ctx context.Context, client *ecr.Client, o awsOptions) (string, error) {
	out, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: given(o.registryID), RepositoryNames: []string{o.repositories}})
	if err != nil {
		return "", err
	}
	all := []map[string]any{}
	for _, r := range out.Repositories {
		all = append(all, map[string]any{"repositoryName": r.RepositoryName, "registryId": r.RegistryId, "imageTagMutability": r.ImageTagMutability})
	}
	return asJSON("repositories", all)
}

func describeImages(ctx context.Context, client *ecr.Client, o awsOptions) (string, error) {
	tag, ok := strings.CutPrefix(o.images, "imageTag=")
	if !ok {
		return "", notDone("aws ecr describe-images --image-ids " + o.images)
	}
	out, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId: given(o.registryID), RepositoryName: &o.repository, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}},
	})
	if err != nil {
		return "", err
	}
	all := []map[string]any{}
	for _, image := range out.ImageDetails {
		all = append(all, map[string]any{"repositoryName": image.RepositoryName, "registryId": image.RegistryId, "imageDigest": image.ImageDigest, "imageTags": image.ImageTags})
	}
	return asJSON("imageDetails", all)
}

// asJSON formats a list as the AWS CLI does, with the members that the
// buildspec reads.
func asJSON(name string, list []map[string]any) (string, error) {
	text, err := json.MarshalIndent(map[string]any{name: list}, "", "    ")
	return string(text), err
}

func given(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// notDone returns the error for a call that the stand-ins do not support.
func notDone(call string) error {
	return fmt.Errorf("the stand-in for builds on the local engine does not do %q: install the real command to use it", call)
}
