package fleetbench

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// docs is where the results are written.
const docs = "../../docs/"

// table returns the figures of those who followed logs, or of the others, as a
// table in Markdown.
func (r report) table(logs bool) string {
	var b strings.Builder
	columns := []string{"builds", "who", askBuilds, "GetLogEvents", "FilterLogEvents", "throttled", "p50", "p95", "max", "floor", "KB a build"}
	if logs {
		columns = append(columns, "whole log, p95", "lines lost", "repeated")
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, f := range r {
		if f.logs == logs {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(f.cells(), " | "))
		}
	}
	return b.String()
}

func (f figures) cells() []string {
	cells := []string{
		number(f.builds), f.who, number(f.calls[askBuilds]), number(f.calls["GetLogEvents"]), number(f.calls["FilterLogEvents"]), f.throttledShare(),
		seconds(f.known.at(0.5)), seconds(f.known.p95()), seconds(f.known.at(1)), seconds(f.floor), fmt.Sprintf("%.0f", f.memory/1024),
	}
	if f.builds < 100 {
		cells[len(cells)-1] = "" // what all builds share would count
	}
	if f.far {
		cells[1] += ", far away"
	}
	if f.share > 1 {
		cells[1] += " (sample)"
		cells[len(cells)-2] = ""
	}
	if f.logs {
		cells = append(cells, seconds(f.read.p95()), number(f.lost), number(f.repeated))
	}
	return cells
}

func (f figures) throttledShare() string {
	calls, throttled := total(f.calls), total(f.throttled)
	if throttled == 0 {
		return "0"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(throttled)/float64(calls))
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// number writes thousands as the docs do: 12,345.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}

func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s >= 100:
		return number(int(s+0.5)) + " s"
	default:
		return fmt.Sprintf("%.1f s", s)
	}
}

// write puts the tables into docs/scale.md, each between its marks, and the
// plots beside it.
func (r report) write(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(docs + "scale.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{"states": r.table(false), "logs": r.table(true)} {
		place := regexp.MustCompile(fmt.Sprintf(`(?s)(<!-- %s -->\n).*?(<!-- end -->)`, name))
		if !place.Match(text) {
			t.Fatalf("docs/scale.md has no place for the table: write <!-- %s --> and <!-- end -->", name)
		}
		text = place.ReplaceAll(text, []byte("${1}\n"+table+"\n${2}"))
	}
	files := map[string]string{"scale.md": string(text), "scale-delay.svg": r.delays().svg(), "scale-calls.svg": r.statusCalls().svg()}
	for name, content := range files {
		if err := os.WriteFile(docs+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
