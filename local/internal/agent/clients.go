package agent

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
)

// clients are the SDK's clients of the services that the agent calls for a
// build. They act as the build's role, so the engine checks the role's
// permissions where it checks those of every caller.
type clients struct {
	logs       *cloudwatchlogs.Client
	objects    *s3.Client
	parameters *ssm.Client
	secrets    *secretsmanager.Client
}

func newClients(config aws.Config, r *role) clients {
	config.Credentials = r
	return clients{
		logs:       cloudwatchlogs.NewFromConfig(config),
		objects:    s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }),
		parameters: ssm.NewFromConfig(config),
		secrets:    secretsmanager.NewFromConfig(config),
	}
}

// Retrieve implements aws.CredentialsProvider.
func (r *role) Retrieve(context.Context) (aws.Credentials, error) {
	s, err := r.session()
	return aws.Credentials{
		AccessKeyID: s.Credentials.AccessKeyID, SecretAccessKey: s.Credentials.SecretAccessKey, SessionToken: s.Credentials.SessionToken,
		Source: "the build's role",
	}, err
}

// answered returns what a service answered, without what the SDK says around
// it.
func answered(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}
