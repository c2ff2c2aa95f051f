package spec

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A reader reads the value of one key. where names the key for errors.
type reader func(s *Spec, where string, value *yaml.Node) error

// The keys that may appear, level by level.
var (
	top = map[string]reader{
		"version":   version,
		"env":       fieldsOf(env),
		"phases":    fieldsOf(phases),
		"run-as":    func(s *Spec, where string, value *yaml.Node) error { return textOf(&s.RunAs)(s, where, value) },
		"proxy":     unsupported,
		"batch":     unsupported,
		"reports":   unsupported,
		"artifacts": artifacts,
		"cache":     unsupported,
	}
	env = map[string]reader{
		"shell":                 shell,
		"variables":             variablesOf(func(s *Spec) *[]Variable { return &s.Variables }),
		"exported-variables":    exported,
		"parameter-store":       variablesOf(func(s *Spec) *[]Variable { return &s.Parameters }),
		"secrets-manager":       variablesOf(func(s *Spec) *[]Variable { return &s.Secrets }),
		"git-credential-helper": noCredentialHelper,
	}
	phases = map[string]reader{
		"install":    phase(Install),
		"pre_build":  phase(PreBuild),
		"build":      phase(Build),
		"post_build": phase(PostBuild),
	}
)

func fieldsOf(readers map[string]reader) reader {
	return func(s *Spec, where string, value *yaml.Node) error {
		_, err := s.fields(value, where, readers)
		return err
	}
}

// fields reads a mapping whose keys must be in readers, and returns those that
// it has. A missing value is an empty one.
func (s *Spec) fields(node *yaml.Node, where string, readers map[string]reader) (map[string]bool, error) {
	seen := map[string]bool{}
	err := eachField(node, where, func(key, value *yaml.Node) error {
		read, known := readers[key.Value]
		if !known {
			return fmt.Errorf("unknown key %q of %s at line %d", key.Value, where, key.Line)
		}
		seen[key.Value] = true
		return read(s, key.Value, value)
	})
	return seen, err
}

// eachField calls do for each key of a mapping, and refuses a key that comes
// twice.
func eachField(node *yaml.Node, where string, do func(key, value *yaml.Node) error) error {
	node, err := resolve(node)
	if err != nil || isNull(node) {
		return err
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%s must be a mapping at line %d", where, node.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("a key of %s must be plain text at line %d", where, key.Line)
		}
		if seen[key.Value] {
			return fmt.Errorf("key %q of %s appears twice at line %d", key.Value, where, key.Line)
		}
		seen[key.Value] = true
		if err := do(key, node.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows aliases to the node that they stand for.
func resolve(node *yaml.Node) (*yaml.Node, error) {
	for depth := 0; node.Kind == yaml.AliasNode; depth++ {
		if depth == maxDepth {
			return nil, fmt.Errorf("the alias at line %d leads through more than %d others", node.Line, maxDepth)
		}
		node = node.Alias
	}
	return node, nil
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// text is the value of a scalar.
func text(where string, node *yaml.Node) (string, error) {
	node, err := resolve(node)
	if err != nil {
		return "", err
	}
	if node.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("%s must be plain text at line %d", where, node.Line)
	}
	if strings.ContainsRune(node.Value, 0) {
		return "", fmt.Errorf("%s has a NUL character at line %d", where, node.Line)
	}
	return node.Value, nil
}

func unsupported(_ *Spec, where string, value *yaml.Node) error {
	return fmt.Errorf("%s is not supported by the local engine at line %d", where, value.Line)
}

func version(_ *Spec, where string, value *yaml.Node) error {
	number, err := text(where, value)
	if err == nil && number != "0.2" {
		err = fmt.Errorf("version %s is not supported by the local engine: write `version: 0.2`", number)
	}
	return err
}

// shells are the supported values of env/shell and the programs that they stand
// for.
var shells = map[string]string{"bash": "bash", "sh": "/bin/sh", "/bin/sh": "/bin/sh"}

func shell(s *Spec, where string, value *yaml.Node) error {
	name, err := text(where, value)
	if err != nil {
		return err
	}
	program, known := shells[name]
	if !known {
		return fmt.Errorf("shell %q is not supported by the local engine: use bash or /bin/sh", name)
	}
	s.Shell = program
	return nil
}

func noCredentialHelper(_ *Spec, where string, value *yaml.Node) error {
	choice, err := text(where, value)
	if err == nil && choice != "no" && choice != "false" {
		err = fmt.Errorf("%s %s is not supported by the local engine at line %d", where, choice, value.Line)
	}
	return err
}

var variableName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkName(where, name string, line int) error {
	if !variableName().MatchString(name) {
		return fmt.Errorf("%q of %s is not a variable's name at line %d", name, where, line)
	}
	return nil
}

func variablesOf(list func(*Spec) *[]Variable) reader {
	return func(s *Spec, where string, value *yaml.Node) error {
		return eachField(value, where, func(key, value *yaml.Node) error {
			if err := checkName(where, key.Value, key.Line); err != nil {
				return err
			}
			content, err := text("variable "+key.Value, value)
			*list(s) = append(*list(s), Variable{Name: key.Value, Value: content})
			return err
		})
	}
}

func exported(s *Spec, where string, value *yaml.Node) error {
	list, err := resolve(value)
	if err != nil || isNull(list) {
		return err
	}
	if list.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s must be a list at line %d", where, list.Line)
	}
	for _, item := range list.Content {
		name, err := text(where, item)
		if err != nil {
			return err
		}
		if err := checkName(where, name, item.Line); err != nil {
			return err
		}
		if !slices.Contains(s.Exported, name) {
			s.Exported = append(s.Exported, name)
		}
	}
	return nil
}
