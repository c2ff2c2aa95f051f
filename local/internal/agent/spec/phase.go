package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

func phase(name Name) reader {
	return func(s *Spec, where string, value *yaml.Node) error {
		p := Phase{Name: name}
		keys := map[string]reader{
			"commands": func(_ *Spec, _ string, value *yaml.Node) (err error) {
				p.Commands, err = commands("Commands", value)
				return err
			},
			"finally": func(_ *Spec, _ string, value *yaml.Node) (err error) {
				p.Finally, err = commands("Finally", value)
				return err
			},
			"on-failure": func(_ *Spec, _ string, value *yaml.Node) (err error) {
				p.OnFailure, p.Retry, err = onFailure(value)
				return err
			},
			"run-as": textOf(&p.RunAs),
			"runtime-versions": func(s *Spec, where string, value *yaml.Node) error {
				if name != Install {
					return fmt.Errorf("%s belongs to install, not to %s, at line %d", where, strings.ToLower(string(name)), value.Line)
				}
				return runtimes(s, where, value)
			},
		}
		_, err := s.fields(value, where, keys)
		s.Phases = append(s.Phases, p)
		return err
	}
}

// runtimes reads the versions of languages that CodeBuild's own images install.
func runtimes(s *Spec, where string, value *yaml.Node) error {
	return eachField(value, where, func(key, value *yaml.Node) error {
		version, err := text(where+"/"+key.Value, value)
		s.Runtimes = append(s.Runtimes, Variable{Name: key.Value, Value: version})
		return err
	})
}

// commands reads a list of commands. The usual mistake is a command with a
// colon and a space in it, which YAML takes for a mapping; CodeBuild's message
// for it is well known.
func commands(where string, value *yaml.Node) ([]string, error) {
	list, err := resolve(value)
	if err != nil || isNull(list) {
		return nil, err
	}
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s must be a list of commands at line %d", strings.ToLower(where), list.Line)
	}
	var all []string
	for i, item := range list.Content {
		item, err := resolve(item)
		if err != nil {
			return nil, err
		}
		if item.Kind != yaml.ScalarNode {
			//lint:ignore ST1005 these are CodeBuild's words
			return nil, fmt.Errorf("Expected %s[%d] to be of string type: found subkeys instead at line %d, "+
				"value of the key tag on line %d might be empty", where, i, item.Line, item.Line-1)
		}
		command, err := text(fmt.Sprintf("%s[%d]", where, i), item)
		if err != nil {
			return nil, err
		}
		all = append(all, command)
	}
	return all, nil
}

func onFailure(value *yaml.Node) (OnFailure, *Retry, error) {
	choice, err := text("on-failure", value)
	if err != nil {
		return Default, nil, err
	}
	switch o := OnFailure(choice); {
	case o == Abort, o == Continue:
		return o, nil, nil
	case retryChoice().MatchString(choice):
		r, err := retry(choice)
		if err != nil {
			err = fmt.Errorf("on-failure %s: %w at line %d", choice, err, value.Line)
		}
		return Again, r, err
	}
	return Default, nil, fmt.Errorf("on-failure must be ABORT, CONTINUE, RETRY or RETRY-count-regex, not %q, at line %d", choice, value.Line)
}

// Limits of on-failure: RETRY. Source: the buildspec reference.
const (
	defaultRetries = 3
	maxRetries     = 100
)

// retryChoice has the count and the regular expression, either of which may be
// missing.
var retryChoice = lazyregexp.New(`^RETRY(?:-([0-9]+))?(?:-(.+))?$`)

// retry reads RETRY, RETRY-count, RETRY-regex and RETRY-count-regex. It is not
// documented whether the expression has to match the whole message, so it has
// to.
func retry(choice string) (*Retry, error) {
	parts := retryChoice().FindStringSubmatch(choice)
	count, err := strconv.Atoi(cmp.Or(parts[1], strconv.Itoa(defaultRetries)))
	if err != nil || count > maxRetries {
		return nil, fmt.Errorf("the count may be 0 to %d", maxRetries)
	}
	pattern, err := regexp.Compile(`(?s)^(?:` + cmp.Or(parts[2], ".*") + `)$`)
	return &Retry{Count: int32(count), Errors: pattern}, err
}
