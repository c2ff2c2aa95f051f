// Package transcript is for tests of the engine's services: it compares all
// that a client was answered, member by member, with a file that people have
// read. A test that looks at one member of an answer does not notice when
// another one is lost.
//
//	tr := transcript.New()
//	out, err := client.DescribeStacks(ctx, in)
//	tr.Add("a stack in review", out, err)
//	tr.Compare(t, "testdata/stack.yaml")
//
// go test -update writes the file; read what it changes.
package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

var update = flag.Bool("update", false, "write the transcripts of testdata")

// A Transcript collects answers. Values that differ from run to run are
// replaced: times by TIME, and what is random by ID with a number, which is the
// same wherever the value is.
type Transcript struct {
	text     strings.Builder
	names    map[string]string
	replaced []string
}

// New returns an empty Transcript.
func New() *Transcript { return &Transcript{names: map[string]string{}} }

// Replace makes what the transcript writes of a value from now on its name: the
// address of a server, say.
func (tr *Transcript) Replace(value, name string) { tr.replaced = append(tr.replaced, value, name) }

// Add writes down an answer, or the error in its place.
func (tr *Transcript) Add(title string, answer any, err error) {
	if err != nil {
		answer = map[string]any{"error": errorText(err)}
	}
	data, err := json.Marshal(answer)
	if err != nil {
		panic(err) // an answer of the SDK is JSON
	}
	var plain any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&plain); err != nil {
		panic(err)
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(withoutUnset(plain)); err != nil {
		panic(err)
	}
	fmt.Fprintf(&tr.text, "# %s\n%s---\n", tr.stable(title), tr.stable(text.String()))
}

// errorText is what a client sees of an error of an API: its code and message.
func errorText(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

// withoutUnset drops the members that an answer of the SDK does not set. Empty
// lists stay, because they are not the same to a client.
func withoutUnset(value any) any {
	switch v := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, member := range v {
			if member == nil || member == "" || name == "ResultMetadata" {
				continue
			}
			kept[name] = withoutUnset(member)
		}
		return kept
	case []any:
		for i := range v {
			v[i] = withoutUnset(v[i])
		}
	case json.Number:
		n, _ := v.Float64()
		return n
	}
	return value
}

var (
	times = lazyregexp.New(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	ids   = lazyregexp.New(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[A-Za-z]+-[A-Z2-7]{12}\b|\b[a-z]+-[a-z2-7]{12}\b|\bsecret:\w+-[A-Za-z0-9]{6}\b`)
)

func (tr *Transcript) stable(text string) string {
	text = strings.NewReplacer(tr.replaced...).Replace(text)
	text = times().ReplaceAllString(text, "TIME")
	return ids().ReplaceAllStringFunc(text, func(id string) string {
		if tr.names[id] == "" {
			tr.names[id] = fmt.Sprintf("ID%d", len(tr.names)+1)
		}
		return tr.names[id]
	})
}

// Compare fails the test unless the transcript is the file's.
func (tr *Transcript) Compare(t *testing.T, file string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(tr.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(tr.text.String(), "\n")); diff != "" {
		t.Errorf("%s (-wanted +answered): go test -update writes it\n%s", file, diff)
	}
}
