package paging

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"testing"
)

func self(s string) string { return s }

// all reads a list page by page, and changes it after each page.
func all(t *testing.T, items []string, size int, change func([]string, []string) []string) (read []string) {
	t.Helper()
	var token *string
	for {
		page, next, err := Page(items, self, token, size)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, page...)
		if next == nil {
			return read
		}
		token = next
		items = change(items, page)
	}
}

func TestPages(t *testing.T) {
	items := []string{"a", "b", "c", "d", "e"}
	for name, change := range map[string]func(items, page []string) []string{
		"nothing changes":    func(items, _ []string) []string { return items },
		"some come before":   func(items, _ []string) []string { return slices.Insert(slices.Clone(items), 0, "new") },
		"what was read goes": func(items, page []string) []string { return items[slices.Index(items, page[len(page)-1])+1:] },
		"one of the rest too": func(items, page []string) []string {
			return slices.DeleteFunc(slices.Clone(items), func(s string) bool { return s == page[0] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(items)+1; size++ {
				if got := all(t, items, size, change); !slices.Equal(got, items) {
					t.Errorf("pages of %d: %v", size, got)
				}
			}
		})
	}
}

func TestTheNextItemIsRemoved(t *testing.T) {
	_, next, err := Page([]string{"a", "b", "c", "d"}, self, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	page, next, err := Page([]string{"a", "b", "d"}, self, next, 2)
	if err != nil || next != nil || !slices.Equal(page, []string{"d"}) {
		t.Errorf("page %v, next %v, error %v", page, next, err)
	}
	if page, _, err = Page(nil, self, &[]string{encoded("2 c")}[0], 2); err != nil || page == nil || len(page) != 0 {
		t.Errorf("of an empty list: page %v, error %v", page, err)
	}
}

func TestTokensOfOthers(t *testing.T) {
	for _, token := range []string{"?", "2", "MQ==", encoded("-1 a"), encoded("a"), encoded("1a b"), encoded("99999999999999999999 a")} {
		if _, _, err := Page([]string{"a", "b"}, self, &token, 1); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", strconv.Quote(token), err)
		}
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
