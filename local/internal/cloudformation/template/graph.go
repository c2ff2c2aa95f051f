package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dependencies maps each resource to those that must exist before it: the
// ones it depends on by name and the ones its properties refer to.
func (t *Template) Dependencies() map[string][]string {
	graph := make(map[string][]string, len(t.Resources))
	for id, r := range t.Resources {
		before := slices.Clone([]string(r.DependsOn))
		for _, mentioned := range references(r.Properties) {
			if _, ok := t.Resources[mentioned.Name]; ok {
				before = append(before, mentioned.Name)
			}
		}
		slices.Sort(before)
		graph[id] = slices.Compact(before)
	}
	return graph
}

// Order sorts the keys of a dependency graph so that each follows what it
// depends on, alphabetically where there is a choice. What is depended on but
// not a key itself is ignored.
func Order(graph map[string][]string) ([]string, error) {
	sorted := make([]string, 0, len(graph))
	done := make(map[string]bool, len(graph))
	ready := func(id string) bool {
		return !slices.ContainsFunc(graph[id], func(dep string) bool {
			_, inGraph := graph[dep]
			return inGraph && !done[dep]
		})
	}
	left := slices.Sorted(maps.Keys(graph))
	for len(left) > 0 {
		next := slices.IndexFunc(left, ready)
		if next < 0 {
			return nil, fmt.Errorf("Circular dependency between resources: [%s]", strings.Join(cycle(graph, left), ", ")) //nolint:staticcheck // CloudFormation's own words
		}
		done[left[next]] = true
		sorted = append(sorted, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return sorted, nil
}

// cycle picks the members of one cycle out of the nodes that could not be
// ordered.
func cycle(graph map[string][]string, stuck []string) []string {
	var path []string
	for at := stuck[0]; ; {
		if i := slices.Index(path, at); i >= 0 {
			return path[i:]
		}
		path = append(path, at)
		at = graph[at][slices.IndexFunc(graph[at], func(dep string) bool { return slices.Contains(stuck, dep) })]
	}
}
