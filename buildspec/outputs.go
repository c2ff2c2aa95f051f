package buildspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// OutputsOf returns the outputs of one image builder of a stack, without the
// prefix that keeps its keys apart from those of the stack's other builders. An
// empty prefix means the builder that has none, else the only one there is.
func OutputsOf(stack map[string]string, prefix string) (map[string]string, error) {
	builders := prefixes(stack)
	if prefix == "" && len(builders) == 1 {
		prefix = builders[0]
	}
	if !slices.Contains(builders, prefix) && (prefix != "" || len(builders) > 0) {
		return nil, fmt.Errorf("no image builder has the output prefix %q: those of the stack have %q", prefix, builders)
	}
	outputs := map[string]string{}
	for key, value := range stack {
		if bare, ok := strings.CutPrefix(key, prefix); ok {
			outputs[bare] = value
		}
	}
	return outputs, nil
}

// prefixes are those of the image builders of a stack. Every builder says the
// version of its contract.
func prefixes(stack map[string]string) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(stack)) {
		if prefix, ok := strings.CutSuffix(key, OutputContractVersion); ok {
			found = append(found, prefix)
		}
	}
	return found
}
