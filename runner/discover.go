package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// discover reads the outputs of an image builder. A name that begins with a
// slash is that of a parameter; any other is a stack's name, optionally
// followed by a dot and the builder's output prefix. Names of stacks have no
// dots.
func discover(ctx context.Context, calls *calls, cfg aws.Config, name string) (Stack, error) {
	if strings.HasPrefix(name, "/") {
		outputs, err := readParameter(ctx, calls, ssm.NewFromConfig(cfg), cfg.Region, name)
		if err != nil {
			return Stack{}, err
		}
		return parseStack(name, outputs)
	}
	stack, prefix, dotted := strings.Cut(name, ".")
	if stack == "" || dotted && prefix == "" || strings.Contains(prefix, ".") {
		return Stack{}, invalid("stack %q: name a stack, a stack and a builder's output prefix as STACK.PREFIX, or a parameter as /PATH", name)
	}
	all, err := readOutputs(ctx, calls, cloudformation.NewFromConfig(cfg), cfg.Region, stack)
	if err != nil {
		return Stack{}, err
	}
	outputs, err := buildspec.OutputsOf(all, prefix)
	if err != nil {
		return Stack{}, fmt.Errorf("%w: %q: %w: name one as %s.PREFIX", ErrIncompatibleStack, name, err, stack)
	}
	return parseStack(name, outputs)
}

func readParameter(ctx context.Context, calls *calls, api parameterAPI, region, name string) (map[string]string, error) {
	var out *ssm.GetParameterOutput
	err := calls.retry(ctx, "GetParameter", func(ctx context.Context) (err error) {
		out, err = api.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
		return err
	})
	if hasCode(err, "ParameterNotFound") {
		return nil, fmt.Errorf("%w: there is no parameter %q in %s: deploy an image builder with that ParameterName, or give the name of its stack: %w", ErrStackNotFound, name, region, err)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("read parameter %q", name), err)
	}
	var outputs map[string]string
	if err := json.Unmarshal([]byte(aws.ToString(out.Parameter.Value)), &outputs); err != nil {
		return nil, fmt.Errorf("%w: parameter %q is none that an image builder wrote: %w", ErrIncompatibleStack, name, err)
	}
	return outputs, nil
}
