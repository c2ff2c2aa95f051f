package secretsmanager

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/codebuild-flex/flexbuild/local/internal/paging"
)

// GetSecretValue returns the value of a version, the current one by default.
func (s *Service) GetSecretValue(_ context.Context, in *sdk.GetSecretValueInput) (*sdk.GetSecretValueOutput, error) {
	found, err := s.find(aws.ToString(in.SecretId))
	if err == nil {
		err = found.usable()
	}
	if err != nil {
		return nil, err
	}
	id, stage := aws.ToString(in.VersionId), cmp.Or(aws.ToString(in.VersionStage), current)
	at := slices.IndexFunc(found.Versions, func(v version) bool {
		return (id == "" || v.ID == id) && (slices.Contains(v.Stages, stage) || (id != "" && in.VersionStage == nil))
	})
	if at < 0 {
		return nil, resourceNotFound("Secrets Manager can't find the specified secret value for %s", wanted(id, stage))
	}
	v := found.Versions[at]
	return &sdk.GetSecretValueOutput{
		ARN: &found.ARN, Name: &found.Name, VersionId: &v.ID, VersionStages: v.Stages, SecretString: v.Text, SecretBinary: v.Binary, CreatedDate: &v.Created,
	}, nil
}

func wanted(id, stage string) string {
	if id != "" {
		return "VersionId: " + id
	}
	return "staging label: " + stage
}

// DescribeSecret says everything about a secret but its values.
func (s *Service) DescribeSecret(_ context.Context, in *sdk.DescribeSecretInput) (*sdk.DescribeSecretOutput, error) {
	found, err := s.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	e := found.entry()
	return &sdk.DescribeSecretOutput{
		ARN: e.ARN, Name: e.Name, Description: e.Description, KmsKeyId: e.KmsKeyId, CreatedDate: e.CreatedDate,
		LastChangedDate: e.LastChangedDate, DeletedDate: e.DeletedDate, VersionIdsToStages: e.SecretVersionsToStages, Tags: e.Tags,
	}, nil
}

func (s secret) entry() types.SecretListEntry {
	e := types.SecretListEntry{
		ARN: &s.ARN, Name: &s.Name, CreatedDate: &s.Created, LastChangedDate: &s.Changed, Tags: s.Tags, SecretVersionsToStages: map[string][]string{},
	}
	if s.Description != "" {
		e.Description = &s.Description
	}
	if s.KmsKeyID != "" {
		e.KmsKeyId = &s.KmsKeyID
	}
	if !s.Deleted.IsZero() {
		e.DeletedDate = &s.Deleted
	}
	for _, v := range s.Versions {
		e.SecretVersionsToStages[v.ID] = v.Stages
	}
	return e
}

// maxPage is how many secrets one ListSecrets returns at most, and by default.
const maxPage = 100

// ListSecrets lists the secrets that pass all filters, 100 at a time, by name
// by default.
func (s *Service) ListSecrets(_ context.Context, in *sdk.ListSecretsInput) (*sdk.ListSecretsOutput, error) {
	for _, f := range in.Filters {
		if filtered[f.Key] == nil || len(f.Values) == 0 {
			return nil, invalid("the filter %q is not supported by the local engine: it has description, name, tag-key, tag-value and all, with at least one value", f.Key)
		}
	}
	all, err := s.secrets.List("")
	if err != nil {
		return nil, err
	}
	out := &sdk.ListSecretsOutput{}
	for _, e := range all {
		listed := e.Value.Deleted.IsZero() || (aws.ToBool(in.IncludePlannedDeletion) && !e.Value.gone(s.Clock.Now()))
		if listed && passesAll(e.Value, in.Filters) {
			out.SecretList = append(out.SecretList, e.Value.entry())
		}
	}
	if err := sortSecrets(out.SecretList, in.SortBy, in.SortOrder); err != nil {
		return nil, err
	}
	return page(out, in)
}

// sortSecrets puts secrets that are in the order of their names into the order
// asked for, if any is.
func sortSecrets(list []types.SecretListEntry, by types.SortByType, order types.SortOrderType) error {
	switch {
	case by == types.SortByTypeName || by == "" && order == "":
	case by == types.SortByTypeCreatedDate || by == "":
		slices.SortStableFunc(list, func(a, b types.SecretListEntry) int { return a.CreatedDate.Compare(*b.CreatedDate) })
	case by == types.SortByTypeLastChangedDate:
		slices.SortStableFunc(list, func(a, b types.SecretListEntry) int { return a.LastChangedDate.Compare(*b.LastChangedDate) })
	default:
		return invalid("sortBy %s is not supported by the local engine", by)
	}
	if order == types.SortOrderTypeDesc {
		slices.Reverse(list)
	}
	return nil
}

// filtered are the texts that a filter looks at, by its key.
var filtered = map[types.FilterNameStringType]func(secret) []string{
	types.FilterNameStringTypeName:        func(s secret) []string { return []string{s.Name} },
	types.FilterNameStringTypeDescription: func(s secret) []string { return []string{strings.ToLower(s.Description)} },
	types.FilterNameStringTypeTagKey:      func(s secret) []string { return s.tags(func(t types.Tag) *string { return t.Key }) },
	types.FilterNameStringTypeTagValue:    func(s secret) []string { return s.tags(func(t types.Tag) *string { return t.Value }) },
	types.FilterNameStringTypeAll: func(s secret) []string {
		texts := []string{s.Name, s.Description}
		texts = append(texts, s.tags(func(t types.Tag) *string { return t.Key })...)
		texts = append(texts, s.tags(func(t types.Tag) *string { return t.Value })...)
		return wordsOf(strings.Join(texts, " "))
	},
}

func (s secret) tags(part func(types.Tag) *string) []string {
	texts := make([]string, len(s.Tags))
	for i, t := range s.Tags {
		texts[i] = aws.ToString(part(t))
	}
	return texts
}

// wordsOf splits a text where the filter "all" does, in lower case.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" /_+=.@-", r) })
}

// passesAll reports whether a secret passes each filter: one of its values, or
// none of those that begin with "!", must be how a text begins.
func passesAll(s secret, filters []types.Filter) bool {
	return !slices.ContainsFunc(filters, func(f types.Filter) bool {
		return !slices.ContainsFunc(f.Values, func(value string) bool {
			value, negated := strings.CutPrefix(value, "!")
			return passes(s, f.Key, value) != negated
		})
	})
}

func passes(s secret, key types.FilterNameStringType, value string) bool {
	wanted := []string{value}
	switch key {
	case types.FilterNameStringTypeDescription:
		wanted = []string{strings.ToLower(value)}
	case types.FilterNameStringTypeAll:
		wanted = wordsOf(value)
	}
	texts := filtered[key](s)
	return !slices.ContainsFunc(wanted, func(want string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, want) })
	})
}

// GetResourcePolicy answers that a secret has no policy of its own, as all of
// them.
func (s *Service) GetResourcePolicy(_ context.Context, in *sdk.GetResourcePolicyInput) (*sdk.GetResourcePolicyOutput, error) {
	found, err := s.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	return &sdk.GetResourcePolicyOutput{ARN: &found.ARN, Name: &found.Name}, nil
}

func page(out *sdk.ListSecretsOutput, in *sdk.ListSecretsInput) (_ *sdk.ListSecretsOutput, err error) {
	size := min(int(cmp.Or(aws.ToInt32(in.MaxResults), maxPage)), maxPage)
	arn := func(s types.SecretListEntry) string { return *s.ARN }
	out.SecretList, out.NextToken, err = paging.Page(out.SecretList, arn, in.NextToken, max(size, 1))
	if errors.Is(err, paging.ErrToken) {
		return nil, invalidNextToken("The NextToken value is invalid.")
	}
	return out, err
}
