package flexbuild_test

import (
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Somebody who has never heard of the project reads the README in a few
// minutes. What takes longer is on a page of docs.
func TestReadmeIsShort(t *testing.T) {
	if words := len(strings.Fields(read(t, "README.md"))); words > 900 {
		t.Errorf("the README has %d words, at most 900 are allowed: move some to a page of docs", words)
	}
}

// Each link of a page leads to a file of the project, and to a heading if it
// names one.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)
	found := 0
	for _, page := range pages(t) {
		for _, target := range link.FindAllStringSubmatch(withoutCode(read(t, page)), -1) {
			if u, err := url.Parse(target[1]); err != nil || u.IsAbs() {
				continue
			}
			found++
			file, anchor, _ := strings.Cut(target[1], "#")
			if file == "" {
				file = path.Base(page)
			}
			file = path.Join(path.Dir(page), file)
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads to no file", page, target[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: the link %s leads to no heading of %s", page, target[1], file)
			}
		}
	}
	if found < 100 {
		t.Errorf("%d links were found: this test does not read what it should", found)
	}
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	got := anchors("# What `GrantStart` allows, and denies\n```sh\n# no heading\n```\n## In Go\n### In Go\n")
	if want := []string{"what-grantstart-allows-and-denies", "in-go", "in-go-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors are %q, want %q", got, want)
	}
}

// The messages that troubleshooting explains are those of the sources, or of
// programs that builds run.
func TestTroubleshootingHasRealMessages(t *testing.T) {
	ofOthers := []string{"429 Too Many Requests", "exec format error", "no space left on device"}
	var sources strings.Builder
	for _, file := range tracked(t) {
		if ext := path.Ext(file); ext == ".sh" || ext == ".go" && !strings.HasSuffix(file, "_test.go") {
			sources.WriteString(strings.ReplaceAll(read(t, file), `\"`, `"`))
		}
	}
	found := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(read(t, "docs/troubleshooting.md"), -1) {
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			found++
			for part := range strings.SplitSeq(message[1], "…") {
				if !strings.Contains(sources.String(), strings.TrimSpace(part)) && !slices.Contains(ofOthers, part) {
					t.Errorf("no source has %q of the message %q", part, message[1])
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("%d messages were found: this test does not read what it should", found)
	}
}

// The tests that pages name exist.
func TestPagesNameTestsThatExist(t *testing.T) {
	var tests strings.Builder
	for _, file := range tracked(t) {
		if strings.HasSuffix(file, "_test.go") {
			tests.WriteString(read(t, file))
		}
	}
	found := 0
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(read(t, page), -1) {
			found++
			if !strings.Contains(tests.String(), "func "+name[1]+"(") {
				t.Errorf("%s names %s, which does not exist", page, name[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d names were found: this test does not read what it should", found)
	}
}

// The figures of the decisions are those of the pages that benchmarks write, to
// which they link.
func TestDecisionsHaveTheFiguresOfThePages(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		if path.Dir(page) != "docs/adr" {
			continue
		}
		for _, item := range regexp.MustCompile("(?m)^- .*`make bench-.*$").FindAllString(read(t, page), -1) {
			link := regexp.MustCompile(`\]\(\.\./(\w+\.md)[^)]*\)`).FindStringSubmatch(item)
			if link == nil {
				t.Errorf("%s: %q has no link to the page of its figures", page, item)
				continue
			}
			for _, figure := range regexp.MustCompile(`\b\d[\d,.]*\d\b|\b\d\b`).FindAllString(item[:strings.LastIndex(item, "](")], -1) {
				found++
				if !regexp.MustCompile(`\b` + regexp.QuoteMeta(figure) + `\b`).MatchString(read(t, "docs/"+link[1])) {
					t.Errorf("%s has the figure %s, which is not in %s", page, figure, link[1])
				}
			}
		}
	}
	if found < 6 {
		t.Errorf("%d figures were found: this test does not read what it should", found)
	}
}

// entryPoints are the functions with which programs begin to use each package
// that the compatibility promise covers.
var entryPoints = map[string]string{
	".":               "Template",
	"buildspec":       "Params.Environment Params.Validate ParseOutcome ParseOutputs NewLog",
	"infra":           "NewImageBuilder FromStackOutputs",
	"runner":          "New Run Start Build List Check Dir Git FS ParseSource",
	"runner/batch":    "RunAll",
	"local":           "Start Deploy ReadEndpoint",
	"local/localtest": "New SimulateBuilds Deploy Faults",
}

// Each page of godoc shows how the package is used and says what stays
// compatible, and each entry point has an example that runs.
func TestGodocShowsHowEachPackageIsUsed(t *testing.T) {
	for dir, names := range entryPoints {
		comment := packageComment(t, dir)
		if !regexp.MustCompile(`(?m)^\t\S.*\n`).MatchString(comment) {
			t.Errorf("the documentation of %s shows no code", dir)
		}
		if !strings.Contains(comment, "compatib") {
			t.Errorf("the documentation of %s does not say what stays compatible", dir)
		}
		examples := read(t, dir+"/example_test.go")
		for name := range strings.FieldsSeq(names) {
			method := name[strings.LastIndex(name, ".")+1:]
			if !regexp.MustCompile(`\.` + method + `\b`).MatchString(examples) {
				t.Errorf("no example of %s uses %s", dir, name)
			}
		}
	}
}

// packageComment returns what godoc shows above a package's index.
func packageComment(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err == nil && parsed.Doc != nil && !strings.HasSuffix(file, "_test.go") {
			return parsed.Doc.Text()
		}
	}
	t.Fatalf("%s has no documentation", dir)
	return ""
}

// A yes of the comparison is shown by a test or a page, and a no is explained.
func TestEachExpectationIsShownOrExplained(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "docs/comparison.md"), "| users of | expect | here | shown by |\n|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("%q has %d cells", row, len(cells))
			continue
		}
		here, shown := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		explained := strings.HasPrefix(here, "no") && len(strings.Fields(here)) > 3
		if shown == "" && !explained {
			t.Errorf("%q is neither shown by a test or a page, nor explained", row)
		}
	}
	if len(rows) < 25 {
		t.Errorf("%d rows were found: this test does not read what it should", len(rows))
	}
}

// What the comparison says of others has a source, with the day on which it was
// read.
func TestSourcesOfTheComparisonHaveTheirDay(t *testing.T) {
	text, sources, _ := strings.Cut(read(t, "docs/comparison.md"), "## Sources\n")
	if strings.Contains(text, "https://") {
		t.Error("docs/comparison.md has addresses that are not among its sources")
	}
	rows := regexp.MustCompile(`(?m)^\|.*https://.*\|$`).FindAllString(sources, -1)
	for _, row := range rows {
		if !regexp.MustCompile(`\| 20\d\d-\d\d-\d\d \|$`).MatchString(row) {
			t.Errorf("%q has no day", row)
		}
	}
	if len(rows) < 8 {
		t.Errorf("%d sources were found", len(rows))
	}
}

// Every page can be found: the index of its folder links to it.
func TestEveryPageIsInItsIndex(t *testing.T) {
	for _, page := range pages(t) {
		folder, name := path.Split(page)
		if !strings.HasPrefix(folder, "docs/") || name == "README.md" {
			continue
		}
		if index := folder + "README.md"; !strings.Contains(read(t, index), "]("+name+")") {
			t.Errorf("%s is not in %s", page, index)
		}
	}
}

// Every variable of the environment that the programs read is on a page.
func TestEnvironmentVariablesAreDocumented(t *testing.T) {
	inPrograms, inPages := map[string]bool{}, map[string]bool{}
	for _, file := range tracked(t) {
		names := inPages
		switch path.Ext(file) {
		case ".go", ".sh":
			names = inPrograms
		case ".md":
		default:
			continue
		}
		for _, name := range regexp.MustCompile(`FLEXBUILD_[A-Z_]*[A-Z]`).FindAllString(read(t, file), -1) {
			names[name] = true
		}
	}
	if missing := without(inPrograms, inPages); len(missing) > 0 {
		t.Errorf("programs read %q, which no page documents", missing)
	}
	if extra := without(inPages, inPrograms); len(extra) > 0 {
		t.Errorf("pages name %q, which no program reads", extra)
	}
}

// without returns the names that are in one set and not in the other.
func without(set, other map[string]bool) (names []string) {
	for name := range set {
		if !other[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// pages returns the project's pages in Markdown.
func pages(t *testing.T) (pages []string) {
	t.Helper()
	for _, file := range tracked(t) {
		if path.Ext(file) == ".md" {
			pages = append(pages, filepath.ToSlash(file))
		}
	}
	return pages
}

var fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

func withoutCode(text string) string { return fenced.ReplaceAllLiteralString(text, "") }

// anchors returns the names that GitHub gives to a page's headings: in lower
// case, with hyphens for spaces and without punctuation, numbered if they
// repeat.
func anchors(text string) (anchors []string) {
	seen := map[string]int{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(withoutCode(text), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading[1]))
		seen[name]++
		if n := seen[name]; n > 1 {
			name += "-" + string(rune('0'+n-1))
		}
		anchors = append(anchors, name)
	}
	return anchors
}
