package ssm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/codebuild-flex/flexbuild/local/internal/paging"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// AWS's limits for a page, and its default.
const (
	maxDescribed = 50
	maxByPath    = 10
	defaultPage  = 10
)

// DescribeParameters returns everything about parameters but their values, by
// name, by default 10 at a time.
func (s *Service) DescribeParameters(_ context.Context, in *sdk.DescribeParametersInput) (*sdk.DescribeParametersOutput, error) {
	if aws.ToBool(in.Shared) {
		return nil, invalid("shared is not supported by the local engine: it is one account")
	}
	if len(in.Filters) > 0 {
		return nil, invalid("filters is not supported by the local engine: use parameterFilters")
	}
	found, next, err := s.page("", in.ParameterFilters, in.NextToken, in.MaxResults, maxDescribed)
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeParametersOutput{NextToken: next}
	for _, e := range found {
		out.Parameters = append(out.Parameters, s.describe(e.Key, e.Value))
	}
	return out, nil
}

func (s *Service) describe(name string, p parameter) types.ParameterMetadata {
	described := types.ParameterMetadata{
		ARN: aws.String(s.ARN(name)), Name: &name, Type: p.Type, Version: p.Version, DataType: &p.DataType, LastModifiedDate: &p.Modified,
		LastModifiedUser: &p.User, Tier: p.tier(), Policies: []types.ParameterInlinePolicy{},
	}
	for text, member := range map[string]**string{p.Description: &described.Description, p.Pattern: &described.AllowedPattern, p.key(): &described.KeyId} {
		if text != "" {
			*member = aws.String(text)
		}
	}
	return described
}

func (p parameter) tier() types.ParameterTier { return cmp.Or(p.Tier, types.ParameterTierStandard) }

// key is what a SecureString would be encrypted with.
func (p parameter) key() string {
	if p.Type != types.ParameterTypeSecureString {
		return ""
	}
	return cmp.Or(p.KeyID, "alias/aws/ssm")
}

// GetParametersByPath returns the parameters of a level of the hierarchy, or
// with Recursive of all below it, 10 at a time.
func (s *Service) GetParametersByPath(_ context.Context, in *sdk.GetParametersByPathInput) (*sdk.GetParametersByPathOutput, error) {
	path := aws.ToString(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, invalid("The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". It is %q", path)
	}
	option := "OneLevel"
	if aws.ToBool(in.Recursive) {
		option = "Recursive"
	}
	below := types.ParameterStringFilter{Key: aws.String("Path"), Option: &option, Values: []string{path}}
	for _, f := range in.ParameterFilters {
		if key := aws.ToString(f.Key); key != "Type" && key != "KeyId" {
			return nil, invalidFilterKey("The following filter key is not valid: %s. Valid filter keys include: [Type, KeyId].", key)
		}
	}
	found, next, err := s.page(strings.TrimSuffix(path, "/")+"/", append(in.ParameterFilters, below), in.NextToken, in.MaxResults, maxByPath)
	if err != nil {
		return nil, err
	}
	out := &sdk.GetParametersByPathOutput{NextToken: next}
	for _, e := range found {
		p, err := s.read(e.Key, aws.ToBool(in.WithDecryption))
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, *p)
	}
	return out, nil
}

// describedBy are the values that filters look at, by their key.
var describedBy = map[string]func(name string, p parameter) string{
	"Name":     func(name string, _ parameter) string { return name },
	"Path":     func(name string, _ parameter) string { return name },
	"Type":     func(_ string, p parameter) string { return string(p.Type) },
	"KeyId":    func(_ string, p parameter) string { return p.key() },
	"Tier":     func(_ string, p parameter) string { return string(p.tier()) },
	"DataType": func(_ string, p parameter) string { return p.DataType },
}

// page returns a page of the parameters under a prefix that pass all filters.
func (s *Service) page(prefix string, filters []types.ParameterStringFilter, token *string, size *int32, most int) ([]store.Entry[parameter], *string, error) {
	limit := int(cmp.Or(aws.ToInt32(size), defaultPage))
	if limit < 1 || limit > most {
		return nil, nil, invalid("maxResults is %d; it must be between 1 and %d", limit, most)
	}
	for _, f := range filters {
		if err := checkFilter(f); err != nil {
			return nil, nil, err
		}
	}
	found, err := s.parameters.List(prefix)
	if err != nil {
		return nil, nil, err
	}
	found = slices.DeleteFunc(found, func(e store.Entry[parameter]) bool {
		return slices.ContainsFunc(filters, func(f types.ParameterStringFilter) bool { return !passes(f, describedBy[*f.Key](e.Key, e.Value)) })
	})
	page, next, err := paging.Page(found, func(e store.Entry[parameter]) string { return e.Key }, token, limit)
	if errors.Is(err, paging.ErrToken) {
		err = invalidNextToken("The specified token is not valid.")
	}
	return page, next, err
}

// filterOptions are how a filter may compare, by its key; the first is the
// default.
var filterOptions = map[string][]string{
	"Name": {"Equals", "BeginsWith", "Contains"}, "Path": {"OneLevel", "Recursive"},
	"Type": {"Equals", "BeginsWith"}, "KeyId": {"Equals", "BeginsWith"}, "Tier": {"Equals", "BeginsWith"}, "DataType": {"Equals", "BeginsWith"},
}

func checkFilter(f types.ParameterStringFilter) error {
	options, known := filterOptions[aws.ToString(f.Key)]
	switch {
	case !known:
		return invalidFilterKey("the local engine does not implement the filter key %s: it has Name, Path, Type, KeyId, Tier and DataType", aws.ToString(f.Key))
	case f.Option != nil && !slices.Contains(options, *f.Option):
		return invalidFilterOption("The following filter option is not valid: %s. Valid options include: [%s].", *f.Option, strings.Join(options, ", "))
	case len(f.Values) == 0:
		return invalidFilterValue("The filter %s needs a value.", *f.Key)
	}
	return nil
}

// passes reports whether one of a filter's values fits.
func passes(f types.ParameterStringFilter, value string) bool {
	option := cmp.Or(aws.ToString(f.Option), filterOptions[*f.Key][0])
	return slices.ContainsFunc(f.Values, func(want string) bool {
		rest, below := strings.CutPrefix(value, strings.TrimSuffix(want, "/")+"/")
		switch option {
		case "BeginsWith":
			return strings.HasPrefix(value, want)
		case "Contains":
			return strings.Contains(value, want)
		case "Recursive":
			return below
		case "OneLevel":
			return below && !strings.Contains(rest, "/")
		}
		return value == want
	})
}
