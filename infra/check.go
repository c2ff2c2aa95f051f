package infra

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// tokenMark begins the text of a token, a value that is known only at
// deployment.
const tokenMark = "${Token["

// problem returns an error about the value of a prop, with what to write
// instead.
func problem(prop, format string, args ...any) error {
	return fmt.Errorf("%s: %s", prop, fmt.Sprintf(format, args...))
}

// checkText accepts nil, which means the default.
func checkText(prop string, value *string, form *regexp.Regexp, want string) error {
	if value == nil || form.MatchString(*value) {
		return nil
	}
	if strings.Contains(*value, tokenMark) {
		return problem(prop, "the value is a token, which is known at deployment only: give a literal string")
	}
	return problem(prop, "%q: write %s", *value, want)
}

// checkRepository checks the form of a repository's name, and what a form
// cannot express.
func checkRepository(prop string, value *string, form *regexp.Regexp, want string) error {
	if err := checkText(prop, value, form, want); err != nil || value == nil {
		return err
	}
	if n := len(*value); n < 2 || n > maxRepositoryName {
		return problem(prop, "%q has %d characters: write 2 to %d", *value, n, maxRepositoryName)
	}
	return nil
}

func checkNumber(prop string, value *float64, least, most float64) error {
	if value == nil || (*value >= least && *value <= most && *value == math.Trunc(*value)) {
		return nil
	}
	return problem(prop, "%v: write a whole number from %v to %v", *value, least, most)
}

// A unit is the unit of which a duration must be a whole number.
type unit struct {
	name string
	of   func(amount float64) awscdk.Duration
	in   func(awscdk.Duration) float64 // with a fraction, if there is one
}

var (
	fraction = &awscdk.TimeConversionOptions{Integral: new(bool)}
	minutes  = unit{
		"minutes",
		func(n float64) awscdk.Duration { return awscdk.Duration_Minutes(&n) },
		func(d awscdk.Duration) float64 { return *d.ToMinutes(fraction) },
	}
	days = unit{
		"days",
		func(n float64) awscdk.Duration { return awscdk.Duration_Days(&n) },
		func(d awscdk.Duration) float64 { return *d.ToDays(fraction) },
	}
)

func checkDuration(prop string, value awscdk.Duration, u unit, least, most float64) error {
	if value == nil {
		return nil
	}
	if *value.IsUnresolved() {
		return problem(prop, "the value is a token, which is known at deployment only: give a literal number of %s", u.name)
	}
	if n := u.in(value); n < least || n > most || n != math.Trunc(n) {
		return problem(prop, "%s: give whole %s, %v to %v", *value.ToHumanString(), u.name, least, most)
	}
	return nil
}

// wholeNumber writes a number that checkNumber accepts.
func wholeNumber(value float64) *string {
	text := strconv.FormatFloat(value, 'f', 0, 64)
	return &text
}

// clip shortens a value for an error.
func clip(value string) string {
	const most = 200
	if len(value) <= most {
		return value
	}
	return value[:most] + "…"
}

// values returns the strings that list points at, and an empty one for nil.
func values(list *[]*string) []string {
	if list == nil {
		return nil
	}
	texts := make([]string, len(*list))
	for i, text := range *list {
		texts[i] = or(text, "")
	}
	return texts
}

// or returns the value that value points to, or otherwise if value is nil.
func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
