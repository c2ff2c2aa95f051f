package ssm

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// Limits of AWS's documentation, in bytes.
const (
	maxName     = 1011
	maxStandard = 4 << 10
	maxAdvanced = 8 << 10
)

var parameterName = lazyregexp.New(`^[a-zA-Z0-9_.\-/]+$`)

// PutParameter creates a parameter, or changes it when Overwrite is set.
func (s *Service) PutParameter(ctx context.Context, in *sdk.PutParameterInput) (*sdk.PutParameterOutput, error) {
	if err := check(in); err != nil {
		return nil, err
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	caller, _ := iam.PrincipalFrom(ctx)
	p, err := s.parameters.Update(*in.Name, func(old parameter, found bool) (parameter, error) {
		switch {
		case found && !aws.ToBool(in.Overwrite):
			return old, parameterAlreadyExists("The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		case !found && in.Type == "":
			return old, invalid("A parameter type is required when you create a parameter.")
		}
		p := parameter{
			Type: cmp.Or(in.Type, old.Type), Value: *in.Value, Version: old.Version + 1, Modified: s.Clock.Now().UTC(),
			DataType: cmp.Or(aws.ToString(in.DataType), "text"), Description: aws.ToString(in.Description), Pattern: aws.ToString(in.AllowedPattern),
			Tier: in.Tier, KeyID: aws.ToString(in.KeyId), User: caller.ARN,
			Tags: tags,
		}
		if found {
			p.Tags = old.Tags
		}
		return p, p.matches()
	})
	return &sdk.PutParameterOutput{Version: p.Version, Tier: cmp.Or(in.Tier, types.ParameterTierStandard)}, err
}

func check(in *sdk.PutParameterInput) error {
	name, limit := aws.ToString(in.Name), maxStandard
	if in.Tier == types.ParameterTierAdvanced || in.Tier == types.ParameterTierIntelligentTiering {
		limit = maxAdvanced
	}
	switch {
	case len(name) > maxName || !parameterName().MatchString(name):
		return invalid("Parameter name %q must have 1 to %d letters, digits and _.-/", name, maxName)
	case strings.HasPrefix(strings.ToLower(strings.TrimPrefix(name, "/")), "aws"), strings.HasPrefix(strings.ToLower(strings.TrimPrefix(name, "/")), "ssm"):
		return invalid("Parameter name %q can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)", name)
	case aws.ToString(in.Value) == "":
		return invalid("Parameter %s needs a value", name)
	case len(*in.Value) > limit:
		return invalid("Parameter %s has a value of %d bytes; at most %d are allowed", name, len(*in.Value), limit)
	case in.Type != "" && !known(in.Type):
		return invalid("type %q is not one of %v", in.Type, in.Type.Values())
	case aws.ToBool(in.Overwrite) && len(in.Tags) > 0:
		return invalid("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. " +
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case aws.ToString(in.Policies) != "":
		return invalid("policies is not supported by the local engine: parameters do not expire")
	case in.DataType != nil && *in.DataType != "text":
		return invalid("dataType %s is not supported by the local engine", *in.DataType)
	}
	return nil
}

func known(t types.ParameterType) bool {
	for _, value := range t.Values() {
		if t == value {
			return true
		}
	}
	return false
}

// matches checks the value against the parameter's pattern.
func (p parameter) matches() error {
	pattern, err := regexp.Compile(p.Pattern)
	if err != nil {
		return invalidAllowedPattern("%s", err.Error())
	}
	if !pattern.MatchString(p.Value) {
		return parameterPatternMismatch("Parameter value, cannot be validated against allowedPattern: %s", p.Pattern)
	}
	return nil
}

// DeleteParameter removes a parameter.
func (s *Service) DeleteParameter(_ context.Context, in *sdk.DeleteParameterInput) (*sdk.DeleteParameterOutput, error) {
	name := s.nameOf(aws.ToString(in.Name))
	_, found, err := s.parameters.Get(name)
	if err == nil && !found {
		err = parameterNotFound("Parameter %s not found.", name)
	}
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteParameterOutput{}, s.parameters.Delete(name)
}
