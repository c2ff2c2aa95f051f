package secretsmanager

import (
	"context"
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Limits of AWS's API model.
const (
	defaultPassword = 32
	maxPassword     = 4096
)

const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// GetRandomPassword makes a password of the kinds of characters that are not
// excluded, with one of each unless RequireEachIncludedType is false.
func (s *Service) GetRandomPassword(_ context.Context, in *sdk.GetRandomPasswordInput) (*sdk.GetRandomPasswordOutput, error) {
	length := int(aws.ToInt64(in.PasswordLength))
	if in.PasswordLength == nil {
		length = defaultPassword
	}
	kinds := kindsOf(in)
	switch {
	case length < 1 || length > maxPassword:
		return nil, invalid("PasswordLength is %d; it must be between 1 and %d", length, maxPassword)
	case len(kinds) == 0:
		return nil, invalid("You excluded every character.")
	case length < len(kinds):
		return nil, invalid("PasswordLength is %d, and %d kinds of characters are required", length, len(kinds))
	}
	all := strings.Join(kinds, "")
	var password []byte
	if in.RequireEachIncludedType == nil || *in.RequireEachIncludedType {
		for _, kind := range kinds {
			password = append(password, pick(kind))
		}
	}
	for len(password) < length {
		password = append(password, pick(all))
	}
	shuffle(password)
	return &sdk.GetRandomPasswordOutput{RandomPassword: aws.String(string(password))}, nil
}

// kindsOf are the kinds of characters that a password may have, without the
// excluded characters.
func kindsOf(in *sdk.GetRandomPasswordInput) []string {
	var kinds []string
	for _, kind := range []struct {
		excluded   bool
		characters string
	}{
		{aws.ToBool(in.ExcludeLowercase), "abcdefghijklmnopqrstuvwxyz"},
		{aws.ToBool(in.ExcludeUppercase), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{aws.ToBool(in.ExcludeNumbers), "0123456789"},
		{aws.ToBool(in.ExcludePunctuation), punctuation},
		{!aws.ToBool(in.IncludeSpace), " "},
	} {
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(aws.ToString(in.ExcludeCharacters), r) {
				return -1
			}
			return r
		}, kind.characters)
		if !kind.excluded && left != "" {
			kinds = append(kinds, left)
		}
	}
	return kinds
}

func pick(characters string) byte { return characters[random(len(characters))] }

func shuffle(password []byte) {
	for i := range password {
		j := i + random(len(password)-i)
		password[i], password[j] = password[j], password[i]
	}
}

func random(below int) int {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(below)))
	if err != nil { // cannot be: crypto/rand does not fail
		panic(err)
	}
	return int(n.Int64())
}
