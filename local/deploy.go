package local

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/internal/deploy"
)

// Deploy creates a stack from a template, or updates the stack of that name,
// through the CloudFormation service that config points at. It waits until the
// deployment is done, for 2 minutes at most. A stack that is up to date is not
// an error, and the parameters of a stack keep their values. A stack whose
// creation or deletion failed is deleted first. A stack takes over the
// resources that an earlier one retained, as with `cdk deploy
// --import-existing-resources`. The error of a failed deployment names the
// resource that failed, and why.
func Deploy(ctx context.Context, config aws.Config, stack, template string) error {
	return deployWith(ctx, config, stack, template, nil)
}

func deployWith(ctx context.Context, config aws.Config, stack, template string, parameters map[string]string) error {
	_, err := deploy.Run(ctx, config, deploy.Deployment{
		Stack: stack, Template: template, Parameters: parameters,
		ImportExisting: true, Recreate: true, Timeout: 2 * time.Minute,
	})
	return err
}

// DeployIfAbsent is Deploy, with parameters, for a stack that does not exist or
// was never completely created. It leaves any other stack as it is.
func DeployIfAbsent(ctx context.Context, config aws.Config, stack, template string, parameters map[string]string) error {
	status, err := deploy.Status(ctx, config, stack)
	if err != nil {
		return err
	}
	switch status {
	case "", types.StackStatusReviewInProgress, types.StackStatusCreateFailed,
		types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusDeleteFailed:
		return deployWith(ctx, config, stack, template, parameters)
	}
	return nil
}
