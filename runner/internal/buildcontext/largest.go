package buildcontext

import (
	"cmp"
	"path"
	"slices"
)

// Usage is the size in bytes of a file, or of all files of a directory.
type Usage struct {
	Path  string // relative to the context; a directory ends in a slash
	Bytes int64
}

// Largest returns the n largest files and directories of the context, the
// largest first. If nearly all bytes of a directory are in one place inside it,
// that place is returned instead.
func (t *Tree) Largest(n int) []Usage {
	children := t.usage()
	top := children["."]
	largest := make([]Usage, min(n, len(top)))
	for i := range largest {
		u := top[i]
		for {
			inside := children[path.Clean(u.Path)]
			if len(inside) == 0 || inside[0].Bytes < u.Bytes*9/10 {
				break
			}
			u = inside[0]
		}
		largest[i] = u
	}
	return largest
}

// usage returns the sizes of each directory's content, the largest first.
func (t *Tree) usage() map[string][]Usage {
	bytes := map[string]int64{}
	isDir := map[string]bool{}
	for _, e := range t.entries {
		if path.IsAbs(e.path) || e.size() == 0 {
			continue
		}
		bytes[e.path] = e.size()
		for dir := path.Dir(e.path); dir != "."; dir = path.Dir(dir) {
			bytes[dir] += e.size()
			isDir[dir] = true
		}
	}
	children := map[string][]Usage{}
	for name, size := range bytes {
		shown := name
		if isDir[name] {
			shown += "/"
		}
		children[path.Dir(name)] = append(children[path.Dir(name)], Usage{shown, size})
	}
	for _, list := range children {
		slices.SortFunc(list, func(a, b Usage) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
		})
	}
	return children
}
