package ssm

import (
	"context"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// maxNames is how many parameters one GetParameters may ask for.
const maxNames = 10

// GetParameter returns one parameter, by name or ARN.
func (s *Service) GetParameter(_ context.Context, in *sdk.GetParameterInput) (*sdk.GetParameterOutput, error) {
	found, err := s.read(aws.ToString(in.Name), aws.ToBool(in.WithDecryption))
	return &sdk.GetParameterOutput{Parameter: found}, err
}

// GetParameters returns 1 to 10 parameters; those that are not there come back
// by name.
func (s *Service) GetParameters(_ context.Context, in *sdk.GetParametersInput) (*sdk.GetParametersOutput, error) {
	if len(in.Names) < 1 || len(in.Names) > maxNames {
		return nil, invalid("names has %d members; it must have 1 to %d", len(in.Names), maxNames)
	}
	out := &sdk.GetParametersOutput{}
	for _, name := range in.Names {
		found, err := s.read(name, aws.ToBool(in.WithDecryption))
		_, missing := errors.AsType[*types.ParameterNotFound](err)
		_, noVersion := errors.AsType[*types.ParameterVersionNotFound](err)
		switch {
		case missing || noVersion:
			out.InvalidParameters = append(out.InvalidParameters, name)
		case err != nil:
			return nil, err
		default:
			out.Parameters = append(out.Parameters, *found)
		}
	}
	return out, nil
}

// Value is the value of a parameter that is no secret, for CloudFormation's
// templates.
func (s *Service) Value(_ context.Context, name string) (string, bool, error) {
	p, found, err := s.parameters.Get(s.nameOf(name))
	if err == nil && p.Type == types.ParameterTypeSecureString {
		err = invalid("parameter %s is a SecureString, which a template cannot use", name)
	}
	return p.Value, found, err
}

func (s *Service) read(reference string, decrypt bool) (*types.Parameter, error) {
	name, selector := s.split(reference)
	p, found, err := s.parameters.Get(name)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, parameterNotFound("Parameter %s not found.", name)
	case selector != "" && selector != strconv.FormatInt(p.Version, 10):
		return nil, parameterVersionNotFound("the local engine has version %d of %s only, and no labels; asked for %s", p.Version, name, selector)
	case p.Type == types.ParameterTypeSecureString && !decrypt:
		return nil, invalid("parameter %s is a SecureString and the local engine has no KMS to show it encrypted: ask WithDecryption", name)
	}
	return &types.Parameter{
		ARN: aws.String(s.ARN(name)), Name: &name, Type: p.Type, Value: &p.Value, Version: p.Version,
		DataType: &p.DataType, LastModifiedDate: &p.Modified,
	}, nil
}
