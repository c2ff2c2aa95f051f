// Package paging divides the lists of the engine's services into pages.
package paging

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrToken is the error for a token that Page did not return. Each service
// reports it in its own words.
var ErrToken = errors.New("the token is not one that this operation returned")

// Page returns the items from the place that token names, at most size of them,
// and the token of the next page, nil after the last. Without a token the page
// is the first. key returns what identifies an item.
//
// A token names the item that follows its page: items that are added or removed
// between two calls neither hide nor repeat others. If that item itself was
// removed, the next page begins where it was. The page is never nil.
func Page[T any](items []T, key func(T) string, token *string, size int) (page []T, next *string, err error) {
	start := 0
	if token != nil && *token != "" {
		if start, err = find(items, key, *token); err != nil {
			return nil, nil, err
		}
	}
	end := min(start+size, len(items))
	if end < len(items) {
		text := base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end) + " " + key(items[end])))
		next = &text
	}
	return append([]T{}, items[start:end]...), next, nil
}

// find returns the index that a token names.
func find[T any](items []T, key func(T) string, token string) (int, error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, ErrToken
	}
	place, name, _ := strings.Cut(string(text), " ")
	index, err := strconv.Atoi(place)
	if err != nil || index < 0 {
		return 0, ErrToken
	}
	if at := slices.IndexFunc(items, func(item T) bool { return key(item) == name }); at >= 0 {
		return at, nil
	}
	return min(index, len(items)), nil
}
