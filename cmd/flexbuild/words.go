package main

import (
	"errors"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/runner"
)

// words are what people write for the contract's variables: as a flag of build,
// and as a field of a batch's file.
var words = map[string]struct{ flag, field string }{
	"TAG":          {"--tag", "tags"},
	"CONTEXT":      {"SOURCE", "source"},
	"DOCKERFILE":   {"--file", "file"},
	"TARGET":       {"--target", "target"},
	"BUILD_ARGS":   {"--build-arg", "build-args"},
	"LABELS":       {"--label", "labels"},
	"PLATFORMS":    {"--platform", "platform"},
	"PROVENANCE":   {"--provenance", "provenance"},
	"SECRETS":      {"--secret", "secrets"},
	"GIT_REF":      {"SOURCE", "source"},
	"GIT_URL":      {"SOURCE", "source"},
	"GIT_CHECKSUM": {"SOURCE", "source"},
	"GIT_TOKEN":    {"--git-token", "git-token"},
	"METADATA":     {"metadata", "metadata"},
}

// variable matches a variable of the contract at the beginning of a problem.
var variable = lazyregexp.New(`(^|\s)([A-Z_]+): `)

// reworded is an error in other words.
type reworded struct {
	error
	text string
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.error }

// inFlags puts an error about a request into the words of build's flags.
func inFlags(err error) error {
	return reword(err, func(name string) string { return words[name].flag })
}

// inFields puts an error about a request into the words of a batch's file.
func inFields(err error) error {
	return reword(err, func(name string) string { return words[name].field })
}

// reword replaces the names of the contract's variables in an error about a
// request. It leaves other errors as they are: a build reports in the
// contract's own words.
func reword(err error, word func(string) string) error {
	if !errors.Is(err, runner.ErrInvalidRequest) {
		return err
	}
	text := variable().ReplaceAllStringFunc(err.Error(), func(found string) string {
		parts := variable().FindStringSubmatch(found)
		if name := word(parts[2]); name != "" {
			return parts[1] + name + ": "
		}
		return found
	})
	return reworded{err, text}
}
