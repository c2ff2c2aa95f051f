// Package lazyregexp compiles regular expressions when they are first used.
// Programs that do not use them start sooner: a repetition with a bound, such
// as {1,512}, takes longer to compile than most packages take to initialize.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that returns the regular expression with the given
// text, which its first call compiles. If the text is not valid, the call
// panics. The function is safe for concurrent use.
func New(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
