package secretsmanager

import (
	"cmp"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// maxSecret is AWS's limit for a value, in bytes.
const maxSecret = 64 << 10

// recoveryDays are how long a deleted secret can be restored, unless
// DeleteSecret says otherwise.
const recoveryDays = 30

var secretName = lazyregexp.New(`^[a-zA-Z0-9/_+=.@-]{1,512}$`)

// CreateSecret makes a secret, with a first value if one is given.
func (s *Service) CreateSecret(_ context.Context, in *sdk.CreateSecretInput) (*sdk.CreateSecretOutput, error) {
	name := aws.ToString(in.Name)
	switch {
	case !secretName().MatchString(name):
		return nil, invalid("Invalid name %q. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@", name)
	case len(in.AddReplicaRegions) > 0:
		return nil, invalid("addReplicaRegions is not supported by the local engine: it is one region")
	case aws.ToString(in.Type) != "":
		return nil, invalid("type is not supported by the local engine: nobody else manages its secrets")
	}
	v, err := newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	made, err := s.secrets.Update(name, func(old secret, found bool) (secret, error) {
		if err := old.free(found, s.Clock.Now()); err != nil {
			return old, err
		}
		now := s.Clock.Now().UTC()
		fresh := secret{Name: name, ARN: s.newARN(name), Description: aws.ToString(in.Description), KmsKeyID: aws.ToString(in.KmsKeyId), Created: now, Changed: now, Tags: tags}
		if v == nil {
			return fresh, nil
		}
		return fresh, fresh.put(*v, []string{current})
	})
	if err != nil {
		return nil, err
	}
	out := &sdk.CreateSecretOutput{ARN: &made.ARN, Name: &made.Name}
	if v != nil {
		out.VersionId = &v.ID
	}
	return out, nil
}

// free reports whether the name of a secret that was found can be used again.
func (s secret) free(found bool, now time.Time) error {
	switch {
	case !found || s.gone(now):
		return nil
	case !s.Deleted.IsZero():
		return invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	return resourceExists("The operation failed because the secret %s already exists.", s.Name)
}

// newVersion is nil without a value.
func newVersion(token, text *string, binary []byte, now time.Time) (*version, error) {
	switch {
	case text != nil && binary != nil:
		return nil, invalid("You can't specify both a binary secret value and a string secret value in the same secret.")
	case len(aws.ToString(text)) > maxSecret || len(binary) > maxSecret:
		return nil, invalid("The secret value has more than %d bytes.", maxSecret)
	case text == nil && binary == nil:
		return nil, nil
	}
	return &version{ID: cmp.Or(aws.ToString(token), uuid.NewString()), Text: text, Binary: binary, Created: now.UTC()}, nil
}

// PutSecretValue gives a secret a new value.
func (s *Service) PutSecretValue(_ context.Context, in *sdk.PutSecretValueInput) (*sdk.PutSecretValueOutput, error) {
	if aws.ToString(in.RotationToken) != "" {
		return nil, invalid("rotationToken is not supported by the local engine: it does not rotate secrets")
	}
	v, err := newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, s.Clock.Now())
	if err == nil && v == nil {
		err = invalid("You must provide either SecretString or SecretBinary.")
	}
	if err != nil {
		return nil, err
	}
	stages := in.VersionStages
	if len(stages) == 0 {
		stages = []string{current}
	}
	changed, err := s.change(aws.ToString(in.SecretId), func(found *secret) error {
		found.Changed = s.Clock.Now().UTC()
		return found.put(*v, stages)
	})
	return &sdk.PutSecretValueOutput{ARN: &changed.ARN, Name: &changed.Name, VersionId: &v.ID, VersionStages: stages}, err
}

// change changes a secret that is not to be deleted.
func (s *Service) change(id string, change func(*secret) error) (secret, error) {
	found, err := s.find(id)
	if err != nil {
		return found, err
	}
	return s.secrets.Update(found.Name, func(stored secret, _ bool) (secret, error) {
		if err := stored.usable(); err != nil {
			return stored, err
		}
		err := change(&stored)
		return stored, err
	})
}

// DeleteSecret deletes a secret in 30 days, or in RecoveryWindowInDays, or at
// once.
func (s *Service) DeleteSecret(_ context.Context, in *sdk.DeleteSecretInput) (*sdk.DeleteSecretOutput, error) {
	force, window := aws.ToBool(in.ForceDeleteWithoutRecovery), aws.ToInt64(in.RecoveryWindowInDays)
	switch {
	case force && in.RecoveryWindowInDays != nil:
		return nil, invalid("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case in.RecoveryWindowInDays != nil && (window < 7 || window > recoveryDays):
		return nil, invalid("RecoveryWindowInDays is %d; it must be between 7 and 30 days (inclusive).", window)
	}
	found, err := s.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now().UTC()
	out := &sdk.DeleteSecretOutput{ARN: &found.ARN, Name: &found.Name, DeletionDate: &now}
	if force {
		return out, s.secrets.Delete(found.Name)
	}
	gone := now.AddDate(0, 0, int(cmp.Or(window, recoveryDays)))
	out.DeletionDate = &gone
	_, err = s.change(found.Name, func(found *secret) error {
		found.Deleted, found.Gone = now, gone
		return nil
	})
	return out, err
}

// UpdateSecret changes what is given of a secret: its description, its key, its
// value.
func (s *Service) UpdateSecret(_ context.Context, in *sdk.UpdateSecretInput) (*sdk.UpdateSecretOutput, error) {
	if aws.ToString(in.Type) != "" {
		return nil, invalid("type is not supported by the local engine: nobody else manages its secrets")
	}
	v, err := newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	changed, err := s.change(aws.ToString(in.SecretId), func(found *secret) error {
		found.Changed = s.Clock.Now().UTC()
		if in.Description != nil {
			found.Description = *in.Description
		}
		if in.KmsKeyId != nil {
			found.KmsKeyID = *in.KmsKeyId
		}
		if v == nil {
			return nil
		}
		return found.put(*v, []string{current})
	})
	out := &sdk.UpdateSecretOutput{ARN: &changed.ARN, Name: &changed.Name}
	if v != nil {
		out.VersionId = &v.ID
	}
	return out, err
}
