package secretsmanager

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
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
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret value for " + wanted(id, stage))}
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

// ListSecrets lists the secrets by name, 100 at a time. Filters are not supported.
func (s *Service) ListSecrets(_ context.Context, in *sdk.ListSecretsInput) (*sdk.ListSecretsOutput, error) {
	if len(in.Filters) > 0 {
		return nil, invalid("filters is not supported by the local engine")
	}
	all, err := s.secrets.List("")
	if err != nil {
		return nil, err
	}
	out := &sdk.ListSecretsOutput{}
	for _, e := range all {
		listed := e.Value.Deleted.IsZero() || (aws.ToBool(in.IncludePlannedDeletion) && !e.Value.gone(s.clock.Now()))
		if listed {
			out.SecretList = append(out.SecretList, e.Value.entry())
		}
	}
	return page(out, in)
}

func page(out *sdk.ListSecretsOutput, in *sdk.ListSecretsInput) (*sdk.ListSecretsOutput, error) {
	from, err := strconv.Atoi(cmp.Or(aws.ToString(in.NextToken), "0"))
	if err != nil || from < 0 || from > len(out.SecretList) {
		return nil, &types.InvalidNextTokenException{Message: aws.String("The NextToken value is invalid.")}
	}
	size := min(int(cmp.Or(aws.ToInt32(in.MaxResults), maxPage)), maxPage)
	to := min(from+max(size, 1), len(out.SecretList))
	if to < len(out.SecretList) {
		out.NextToken = aws.String(strconv.Itoa(to))
	}
	out.SecretList = out.SecretList[from:to]
	return out, nil
}

// Resources are the ARN of the secret that a call touches, and for one that is not there what its ARN would begin with.
func (s *Service) Resources(_ string, input any) []string {
	var id *string
	switch in := input.(type) {
	case *sdk.CreateSecretInput:
		id = in.Name
	case *sdk.PutSecretValueInput:
		id = in.SecretId
	case *sdk.GetSecretValueInput:
		id = in.SecretId
	case *sdk.DescribeSecretInput:
		id = in.SecretId
	case *sdk.UpdateSecretInput:
		id = in.SecretId
	case *sdk.DeleteSecretInput:
		id = in.SecretId
	default:
		return nil
	}
	if found, err := s.find(aws.ToString(id)); err == nil {
		return []string{found.ARN}
	}
	if isARN := len(aws.ToString(id)) > len(s.prefix()) && (*id)[:len(s.prefix())] == s.prefix(); isARN {
		return []string{*id}
	}
	return []string{s.prefix() + aws.ToString(id)}
}
