package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

const schemaFile = "docs/json-1.schema.json"

// mainForScripts is main. Besides, it keeps what the command prints as JSON in
// a file of the folder $JSON_OUTPUTS, after a line with the command's
// arguments.
func mainForScripts() {
	folder := os.Getenv("JSON_OUTPUTS")
	if info, err := os.Stdout.Stat(); folder == "" || !slices.Contains(os.Args, "--json") || err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		main()
	}
	keep := keepOutput(folder)
	code := run(context.Background(), os.Args[1:])
	keep()
	os.Exit(code)
}

func keepOutput(folder string) (keep func()) {
	file, err := os.CreateTemp(folder, "*")
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(file).Encode(os.Args[1:]); err != nil {
		panic(err)
	}
	stdout := os.Stdout
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	os.Stdout = w
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		defer r.Close() // the command notices if nobody reads stdout any more
		_, _ = io.Copy(io.MultiWriter(file, stdout), r)
	}()
	return func() {
		w.Close()
		<-copied
		file.Close()
	}
}

// checkOutputs holds the outputs of a folder that mainForScripts has written
// against the schema, as the table of docs/json.md says which command prints
// which definition.
func checkOutputs(t *testing.T, folder string) {
	t.Helper()
	schema, table := strictSchema(t), definitions(t)
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var args []string
		decoder := json.NewDecoder(file)
		decoder.UseNumber()
		if err := decoder.Decode(&args); err != nil {
			t.Fatal(err)
		}
		definition := compile(t, schema, table[commandOf(t, args)])
		for {
			var document any
			err := decoder.Decode(&document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = definition.Validate(document)
			}
			if err != nil {
				t.Errorf("flexbuild %q: %v", args, err)
				break
			}
		}
		file.Close()
	}
}

// commandOf returns the command of arguments as the table has it.
func commandOf(t *testing.T, args []string) string {
	t.Helper()
	cmd, rest, err := newRoot(nil).Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Name() == "build" && (slices.Contains(rest, "--detach") || slices.Contains(rest, "-d")) {
		return cmd.CommandPath() + " --detach"
	}
	return cmd.CommandPath()
}

// definitions returns the definition that each command prints, as the table of
// docs/json.md has them.
func definitions(t *testing.T) map[string]string {
	t.Helper()
	table := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`flexbuild .*) \\| .* \\| `([a-z]+)` \\|$").FindAllStringSubmatch(readFile(t, "docs/json.md"), -1) {
		for _, command := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			table[command[1]] = row[2]
		}
	}
	return table
}

func openSchema(t *testing.T) map[string]any {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(readFile(t, schemaFile)))
	if err != nil {
		t.Fatal(err)
	}
	return document.(map[string]any)
}

// strictSchema returns the schema without what makes it open: objects have no
// other members, and the examples are all values that there are.
func strictSchema(t *testing.T) map[string]any {
	t.Helper()
	schema := openSchema(t)
	closeSchema(schema)
	return schema
}

func closeSchema(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			closeSchema(item)
		}
	case map[string]any:
		for key, item := range value {
			if key != "if" {
				closeSchema(item)
			}
		}
		if _, ok := value["properties"]; ok {
			value["unevaluatedProperties"] = false
		}
		if values, ok := value["examples"]; ok {
			value["enum"] = values
		}
	}
}

func compile(t *testing.T, schema map[string]any, definition string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	id := schema["$id"].(string)
	if err := compiler.AddResource(id, schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(id + "#/$defs/" + definition)
	if err != nil {
		t.Fatalf("definition %q: %v", definition, err)
	}
	return compiled
}

// Every command that prints JSON is in the table of docs/json.md with a
// definition of the schema, and a script runs it.
func TestEachJSONOutputIsDocumented(t *testing.T) {
	table := definitions(t)
	for command, definition := range table {
		compile(t, openSchema(t), definition)
		if !runsInAScript(t, command) {
			t.Errorf("no script has %q with --json: its JSON is not held against the schema", command)
		}
	}
	want := map[string]bool{"flexbuild build --detach": true}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("json") != nil {
			want[cmd.CommandPath()] = true
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRoot(nil))
	for command := range want {
		if table[command] == "" {
			t.Errorf("docs/json.md does not say what %s --json prints", command)
		}
	}
	for command := range table {
		if !want[command] {
			t.Errorf("docs/json.md has %q, which has no --json", command)
		}
	}
}

func runsInAScript(t *testing.T, command string) bool {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	name, detached := strings.CutSuffix(command, " --detach")
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, name+" ") && strings.Contains(line, "--json") && strings.Contains(line, "--detach") == detached {
				return true
			}
		}
	}
	return false
}

// The schema has the fields that the Go types have, and requires those that are
// always there.
func TestSchemaHasTheFieldsOfTheTypes(t *testing.T) {
	defs := openSchema(t)["$defs"].(map[string]any)
	checks := defs["checks"].(map[string]any)["properties"].(map[string]any)["checks"].(map[string]any)["items"]
	for _, test := range []struct {
		schema any
		value  any
		other  []string // members that no field has
	}{
		{defs["build"], runner.Result{}, nil},
		{defs["phase"], runner.Phase{}, []string{"seconds"}},
		{defs["line"], runner.Line{}, nil},
		{defs["event"], runner.Event{}, nil},
		{defs["outcome"], outcomeJSON{}, nil},
		{defs["version"], versionJSON{}, nil},
		{defs["started"], startedJSON{}, nil},
		{defs["checks"], doctorJSON{}, nil},
		{checks, finding{}, nil},
	} {
		schema := test.schema.(map[string]any)
		want, required := fieldsOf(reflect.TypeOf(test.value))
		want = append(want, test.other...)
		var got, gotRequired []string
		for name := range schema["properties"].(map[string]any) {
			got = append(got, name)
		}
		for _, name := range schema["required"].([]any) {
			gotRequired = append(gotRequired, name.(string))
		}
		if _, isResult := test.value.(runner.Result); isResult { // status prints builds, which have no logsComplete
			gotRequired = append(gotRequired, "logsComplete")
		}
		for _, pair := range []struct {
			name      string
			got, want []string
		}{{"members", got, want}, {"required members", gotRequired, required}} {
			slices.Sort(pair.got)
			slices.Sort(pair.want)
			if !slices.Equal(pair.got, pair.want) {
				t.Errorf("%T: the schema's %s are %q, want %q", test.value, pair.name, pair.got, pair.want)
			}
		}
	}
}

// fieldsOf returns the names of a struct's fields in JSON, and of those that
// are always there.
func fieldsOf(t reflect.Type) (names, required []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			inner, always := fieldsOf(field.Type)
			names, required = append(names, inner...), append(required, always...)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
	}
	return names, required
}

func TestMetadataFileFitsTheSchema(t *testing.T) {
	const digest = "sha256:05648e8d95b0b8c1d7828188c3311f50cf6403c8b233edb878e987b51348c883"
	result := &runner.Result{Info: runner.Info{
		BuildID: "flexbuild:0a4f1b1c-0d1e-4f2a-8b3c-4d5e6f708192", Tags: []string{"app:1"}, Digest: digest,
		ImageURI: "registry.example/app@" + digest, Commit: strings.Repeat("a", 40),
	}}
	document := map[string]any{}
	for name, value := range metadata("registry.example", result) {
		document[name] = value
	}
	if err := compile(t, strictSchema(t), "metadata").Validate(document); err != nil {
		t.Error(err)
	}
}

// Readers accept what later versions add. The tests' strict schema does not.
func TestSchemaIsOpen(t *testing.T) {
	for _, text := range []string{
		`{"type": "note", "time": "2026-01-02T03:04:05Z", "note": "n", "more": 1}`,
		`{"type": "another", "time": "2026-01-02T03:04:05Z"}`,
		`{"type": "finished", "time": "2026-01-02T03:04:05Z", "buildId": "p:00000000-0000-0000-0000-000000000000",
		  "result": {"buildId": "p:00000000-0000-0000-0000-000000000000", "status": "FAILED", "logsComplete": true, "more": 1}}`,
	} {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compile(t, openSchema(t), "event").Validate(document); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := compile(t, strictSchema(t), "event").Validate(document); err == nil {
			t.Errorf("%s fits the strict schema", text)
		}
	}
}
