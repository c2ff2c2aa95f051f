package logs

import (
	"regexp"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A pattern reports whether an event's message passes a filter.
type pattern func(message string) bool

// parsePattern reads a filter pattern: words and quoted phrases that a message
// must contain, or with - must not contain; with ? before all of them, of which
// it must contain one; a JSON pattern in braces (pattern_json.go); or a pattern
// of columns in brackets (pattern_columns.go). As AWS's user guide ("Filter
// pattern syntax") says, ? beside others is ignored.
func parsePattern(text string) (pattern, error) {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") {
		return parseJSONPattern(trimmed)
	}
	if strings.HasPrefix(trimmed, "[") {
		return parseColumns(trimmed)
	}
	terms, err := parseTerms(trimmed)
	if err != nil {
		return nil, err
	}
	optional := func(t term) bool { return t.sign == "?" }
	if len(terms) > 0 && !slices.ContainsFunc(terms, func(t term) bool { return !optional(t) }) {
		return func(message string) bool {
			return slices.ContainsFunc(terms, func(t term) bool { return t.in(message) })
		}, nil
	}
	terms = slices.DeleteFunc(terms, optional)
	return func(message string) bool {
		return !slices.ContainsFunc(terms, func(t term) bool { return t.in(message) == (t.sign == "-") })
	}, nil
}

// A term is a word or phrase, or a regular expression, with the sign before it:
// "", "-" or "?".
type term struct {
	sign, text string
	expression *regexp.Regexp
}

func (t term) in(message string) bool {
	if t.expression != nil {
		return t.expression.MatchString(message)
	}
	return strings.Contains(message, t.text)
}

var termForm = lazyregexp.New(`^([-?]?)(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)+)%|([A-Za-z0-9_]+))(?:\s+|$)`)

func parseTerms(text string) ([]term, error) {
	var terms []term
	for rest := text; rest != ""; {
		m := termForm().FindStringSubmatch(rest)
		if m == nil {
			return nil, invalidPattern(text, "it takes words, \"quoted phrases\", %regular expressions%, - and ? before them, {JSON patterns} and [columns]; this it cannot read: "+rest)
		}
		t := term{sign: m[1], text: unescape(m[2]) + m[4]}
		if m[3] != "" {
			var err error
			if t.expression, err = regexp.Compile(m[3]); err != nil {
				return nil, invalidPattern(text, err.Error())
			}
		}
		terms = append(terms, t)
		rest = rest[len(m[0]):]
	}
	return terms, nil
}

// unescape takes the backslashes out of a quoted text.
func unescape(quoted string) string {
	return regexp.MustCompile(`\\(.)`).ReplaceAllString(quoted, "$1")
}

func invalidPattern(text, why string) error {
	return invalid("Invalid filter pattern %q: the local engine does not implement it, or AWS neither: %s", text, why)
}
