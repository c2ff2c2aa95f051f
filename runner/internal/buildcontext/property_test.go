package buildcontext_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// The model asks the matcher about every path from the top, with no short cuts,
// as BuildKit does when it cannot skip a directory.
func modelOf(t testing.TB, files map[string]string, ignore string) []string {
	patterns, err := ignorefile.ReadAll(strings.NewReader(ignore))
	must(t, err)
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil // Open refuses it too
	}
	keep := map[string]bool{}
	for name := range files {
		for p := name; p != "."; p = path.Dir(p) {
			if p == "Dockerfile" || p == ".dockerignore" || !ignoredByModel(t, matcher, p) {
				for q := p; q != "."; q = path.Dir(q) {
					keep[q] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(keep))
}

func ignoredByModel(t testing.TB, matcher *patternmatcher.PatternMatcher, name string) bool {
	var info patternmatcher.MatchInfo
	var ignored bool
	parts := strings.Split(name, "/")
	for i := range parts {
		var err error
		ignored, info, err = matcher.MatchesUsingParentResults(path.Join(parts[:i+1]...), info)
		must(t, err)
	}
	return ignored
}

func TestIgnoreFileMeansWhatItMeansToBuildKit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		files, ignore := randomTree(random), randomIgnore(random)
		files["Dockerfile"], files[".dockerignore"] = "", ignore
		zipped, _, _ := pack(t, tree(t, files), "")
		var got []string
		for _, name := range names(zipped) {
			got = append(got, strings.TrimSuffix(name, "/"))
		}
		slices.Sort(got)
		if diff := cmp.Diff(modelOf(t, files, ignore), got); diff != "" {
			t.Fatalf("ignore file %q: entries (-want +got):\n%s", ignore, diff)
		}
	}
}

var syllables = []string{"a", "b", "ab", "c.go", "x.md"}

func randomTree(random *rand.Rand) map[string]string {
	files := map[string]string{}
	for range 1 + random.IntN(12) {
		var parts []string
		for range random.IntN(3) {
			parts = append(parts, "d"+pick(random, syllables[:3]))
		}
		files[filepath.Join(append(parts, pick(random, syllables))...)] = ""
	}
	return files
}

func randomIgnore(random *rand.Rand) string {
	words := append([]string{"*", "**", "*.go", "?", "d*", "[ab]", "da", "db", "dab", "/da", "./db"}, syllables...)
	var text bytes.Buffer
	for range 1 + random.IntN(5) {
		if random.IntN(3) == 0 {
			text.WriteString("!")
		}
		var parts []string
		for range 1 + random.IntN(3) {
			parts = append(parts, pick(random, words))
		}
		text.WriteString(strings.Join(parts, "/") + "\n")
	}
	return text.String()
}

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }
