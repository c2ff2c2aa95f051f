package spec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
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
				p.OnFailure, err = onFailure(value)
				return err
			},
			"run-as": unsupported,
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

func onFailure(value *yaml.Node) (OnFailure, error) {
	choice, err := text("on-failure", value)
	if err != nil {
		return Default, err
	}
	switch o := OnFailure(choice); {
	case o == Abort, o == Continue:
		return o, nil
	case strings.HasPrefix(choice, "RETRY"):
		return Default, fmt.Errorf("on-failure %s is not supported by the local engine at line %d", choice, value.Line)
	}
	return Default, fmt.Errorf("on-failure must be ABORT or CONTINUE, not %q, at line %d", choice, value.Line)
}
