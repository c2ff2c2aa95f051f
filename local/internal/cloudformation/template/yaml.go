package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a YAML template into JSON's kinds of values, with the short
// forms of functions (!Ref, !Sub …) written out.
func parseYAML(body string) (any, error) {
	decoder := yaml.NewDecoder(strings.NewReader(body))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the template is empty")
		}
		return nil, err
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the template has more than one YAML document")
	}
	return yamlValue(document.Content[0])
}

// yamlValue converts one node and what is below it.
func yamlValue(node *yaml.Node) (any, error) {
	if node.Anchor != "" || node.Kind == yaml.AliasNode {
		return nil, fmt.Errorf("line %d: YAML aliases are not allowed in CloudFormation templates", node.Line)
	}
	value, err := yamlPlain(node)
	if err != nil || !isShortForm(node.Tag) {
		return value, err
	}
	return longForm(strings.TrimPrefix(node.Tag, "!"), value), nil
}

// isShortForm reports whether a tag is a function's, as in !Ref; YAML's own
// begin with !!.
func isShortForm(tag string) bool {
	return strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") && tag != "!"
}

// longForm writes a function out as templates in JSON do.
func longForm(name string, argument any) any {
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: argument}
	case "GetAtt":
		if text, ok := argument.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			argument = []any{id, attribute}
		}
	}
	return map[string]any{"Fn::" + name: argument}
}

// yamlPlain converts a node without regard to a short form's tag.
func yamlPlain(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		return yamlObject(node)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := yamlValue(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	default:
		return yamlScalar(node), nil
	}
}

// yamlObject converts a mapping; its keys are strings and stand once.
func yamlObject(node *yaml.Node) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || isShortForm(key.Tag) {
			return nil, fmt.Errorf("line %d: the key of a mapping must be a string", key.Line)
		}
		if _, twice := object[key.Value]; twice {
			return nil, fmt.Errorf("line %d: key %q stands twice in its mapping", key.Line, key.Value)
		}
		value, err := yamlValue(node.Content[i+1])
		if err != nil {
			return nil, err
		}
		object[key.Value] = value
	}
	return object, nil
}

// yamlScalar keeps a number's digits as they were written, and as a string if
// JSON could not hold them: an account id may begin with zeros. A date stays
// the string that policy documents mean by it.
func yamlScalar(node *yaml.Node) any {
	switch node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.Number(node.Value)
		}
	}
	return node.Value
}
