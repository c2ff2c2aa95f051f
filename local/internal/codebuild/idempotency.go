package codebuild

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// tokenLife is how long an idempotency token is remembered. Source:
// StartBuild's API reference.
const tokenLife = 5 * time.Minute

// A storedToken records the call with an idempotency token.
type storedToken struct {
	Request string // the hash of the call
	BuildID string
	Used    time.Time
}

// redeem returns the build that an earlier call with the token started. A token
// that was used with another request is an InvalidInputException. The caller
// holds s.mu.
func (s *Service) redeem(token string, in any) (types.Build, bool, error) {
	if token == "" {
		return types.Build{}, false, nil
	}
	kept, found, err := s.tokens.Get(token)
	if err != nil || !found || s.Clock.Since(kept.Used) >= tokenLife {
		return types.Build{}, false, err
	}
	if kept.Request != hash(in) {
		return types.Build{}, false, invalid("Request parameter mismatch for idempotency token %s", token)
	}
	stored, found, err := s.builds.get(kept.BuildID)
	return stored.Build, found, err
}

// keepToken records a call with a token, and removes expired tokens. The caller
// holds s.mu.
func (s *Service) keepToken(token string, in any, buildID string) error {
	if token == "" {
		return nil
	}
	kept, err := s.tokens.List("")
	if err != nil {
		return err
	}
	for _, k := range kept {
		if s.Clock.Since(k.Value.Used) < tokenLife {
			continue
		}
		if err := s.tokens.Delete(k.Key); err != nil {
			return err
		}
	}
	return s.tokens.Put(token, storedToken{Request: hash(in), BuildID: buildID, Used: s.Clock.Now()})
}

// hash identifies a call: its input, a pointer to one of the SDK's structs.
func hash(in any) string {
	text, err := json.Marshal(in)
	if err != nil { // it came from JSON
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
