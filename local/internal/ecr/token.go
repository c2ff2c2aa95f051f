package ecr

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// tokenLife is how long a login lasts: ECR's 12 hours.
const tokenLife = 12 * time.Hour

// user is the only user name of ECR's logins.
const user = "AWS"

var (
	errTokenInvalid = errors.New("Your Authorization Token is invalid.")
	errTokenExpired = errors.New("Your authorization token has expired. Reauthenticate and try again.")
)

// A grant is what a login token says: who pushes and pulls with it, and until
// when. The token carries it, signed, so that there is nothing to keep or to
// clean up, and a login outlives a restart of the engine.
type grant struct {
	Principal iam.Principal
	Expires   time.Time
}

// A tokenSigner makes and reads login tokens with its key.
type tokenSigner []byte

// openTokens reads the signing key of the state file, made at random the first
// time.
func (s *Service) openTokens() error {
	var keys *store.Table[[]byte]
	if err := store.OpenTable(s.Store, "ecr.token-key", &keys); err != nil {
		return err
	}
	key, err := keys.Update("key", func(key []byte, found bool) ([]byte, error) {
		if !found {
			key = []byte(rand.Text() + rand.Text())
		}
		return key, nil
	})
	s.tokens = key
	return err
}

func (k tokenSigner) sign(g grant) (string, error) {
	payload, err := json.Marshal(g)
	if err != nil {
		return "", err
	}
	return encode(payload) + "." + encode(k.mac(payload)), nil
}

func (k tokenSigner) read(token string, now time.Time) (grant, error) {
	payloadText, macText, _ := strings.Cut(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(payloadText)
	if err != nil {
		return grant{}, errTokenInvalid
	}
	mac, err := base64.RawURLEncoding.DecodeString(macText)
	if err != nil || !hmac.Equal(mac, k.mac(payload)) {
		return grant{}, errTokenInvalid
	}
	var g grant
	if err := json.Unmarshal(payload, &g); err != nil {
		return grant{}, errTokenInvalid
	}
	if !now.Before(g.Expires) {
		return grant{}, errTokenExpired
	}
	return g, nil
}

func (k tokenSigner) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write(payload)
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// GetAuthorizationToken returns a login for the caller, who pushes and pulls
// with it as itself for 12 hours.
func (s *Service) GetAuthorizationToken(ctx context.Context, in *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
	principal, ok := iam.PrincipalFrom(ctx)
	if !ok {
		return nil, noIdentity()
	}
	if in != nil {
		//lint:ignore SA1019 clients still send the deprecated field, and it must not be ignored
		for _, id := range in.RegistryIds {
			if id != iam.AccountID {
				return nil, invalid("the local engine has one registry, %s; it cannot log in to %s", iam.AccountID, id)
			}
		}
	}
	expires := s.Clock.Now().Add(tokenLife).UTC().Truncate(time.Second)
	token, err := s.tokens.sign(grant{Principal: principal, Expires: expires})
	if err != nil {
		return nil, fmt.Errorf("sign a login token: %w", err)
	}
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{
		AuthorizationToken: aws.String(base64.StdEncoding.EncodeToString([]byte(user + ":" + token))),
		ExpiresAt:          &expires,
		ProxyEndpoint:      aws.String("http://" + s.Host),
	}}}, nil
}
