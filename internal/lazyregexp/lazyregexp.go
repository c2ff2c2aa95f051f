// Package lazyregexp compiles regular expressions when they are first used.
// Programs that do not use them start sooner: a repetition with a bound, such
// as {1,512}, takes longer to compile than most packages take to initialize.
package lazyregexp

import (
	"regexp"
	"sync"
)

// A Regexp is a regular expression that is compiled by its first match. It is
// safe for concurrent use.
type Regexp struct {
	text     string
	compiled func() *regexp.Regexp
}

// New returns the regular expression with the given text. If the text is not
// valid, the first match panics.
func New(text string) *Regexp {
	return &Regexp{text, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// MatchString reports whether s contains a match.
func (r *Regexp) MatchString(s string) bool { return r.compiled().MatchString(s) }

// String returns the text of the regular expression.
func (r *Regexp) String() string { return r.text }
