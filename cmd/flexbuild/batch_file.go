package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/runner"
)

// entry is a build of a batch's file. Its fields have the names and meanings of
// build's flags.
type entry struct {
	Key        string            `json:"key" yaml:"key"`
	Source     string            `json:"source" yaml:"source"`
	Tags       []string          `json:"tags" yaml:"tags"`
	File       string            `json:"file" yaml:"file"`
	BuildArgs  map[string]string `json:"build-args" yaml:"build-args"`
	Secrets    map[string]string `json:"secrets" yaml:"secrets"` // names of secrets, by id
	Target     string            `json:"target" yaml:"target"`
	Labels     map[string]string `json:"labels" yaml:"labels"`
	Platform   string            `json:"platform" yaml:"platform"`
	NoCache    bool              `json:"no-cache" yaml:"no-cache"`
	Pull       bool              `json:"pull" yaml:"pull"`
	Provenance string            `json:"provenance" yaml:"provenance"`
	SBOM       bool              `json:"sbom" yaml:"sbom"`
	GitToken   string            `json:"git-token" yaml:"git-token"`
	Size       string            `json:"size" yaml:"size"`
	Timeout    string            `json:"timeout" yaml:"timeout"`
	Metadata   map[string]string `json:"metadata" yaml:"metadata"`
}

// maxBatchFile is the maximum size of the file in bytes. It has room for
// 100,000 entries of more than a kilobyte.
const maxBatchFile = 128 << 20

// readEntries reads a file, or stdin for "-": lines of JSON, or YAML documents
// that are an entry or a list of entries.
func readEntries(name string, stdin io.Reader) ([]entry, error) {
	text, err := readBatchFile(name, stdin)
	if err != nil {
		return nil, err
	}
	read := readYAML
	if start := bytes.TrimSpace(text); len(start) > 0 && start[0] == '{' {
		read = readJSONLines
	}
	entries, err := read(text)
	if err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	if len(entries) == 0 {
		return nil, usagef("%s holds no build: write a line of JSON for each, such as {\"source\": \".\", \"tags\": [\"app:1\"]}, or a YAML list", name)
	}
	return entries, nil
}

func readBatchFile(name string, stdin io.Reader) ([]byte, error) {
	file := stdin
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return nil, usagef("%w", err)
		}
		defer opened.Close()
		file = opened
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBatchFile+1))
	switch {
	case err != nil:
		return nil, usagef("read %s: %w", name, err)
	case len(text) > maxBatchFile:
		return nil, usagef("%s has more than %d MB: run it in parts", name, maxBatchFile>>20)
	}
	return text, nil
}

func readJSONLines(text []byte) (entries []entry, _ error) {
	for number, line := range slices.Collect(bytes.Lines(text)) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		var e entry
		err := decoder.Decode(&e)
		if err == nil && decoder.More() {
			err = errors.New("something follows the object")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func readYAML(text []byte) (entries []entry, _ error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := documents.Decode(&node)
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		found, err := entriesOf(&node)
		if err != nil {
			return nil, err
		}
		entries = append(entries, found...)
	}
}

// entriesOf decodes a document again from its text, because only a decoder of
// text refuses unknown fields.
func entriesOf(document *yaml.Node) (entries []entry, _ error) {
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		return nil, nil
	}
	nodes := document.Content
	if nodes[0].Kind == yaml.SequenceNode {
		nodes = nodes[0].Content
	}
	for _, node := range nodes {
		text, err := yaml.Marshal(node)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		var e entry
		if err := decoder.Decode(&e); err != nil {
			return nil, fmt.Errorf("the build at line %d: %s", node.Line, plainYAML(err))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// plainYAML removes what only programmers understand from an error: the line
// numbers of a single entry, and the name of the Go type.
func plainYAML(err error) string {
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return err.Error()
	}
	text := strings.Join(several.Errors, "; ")
	return typeName().ReplaceAllString(lineNumber().ReplaceAllString(text, ""), "")
}

var (
	lineNumber = lazyregexp.New(`\bline [0-9]+: `)
	typeName   = lazyregexp.New(` (in type|into) main\.entry`)
)

// requests converts all entries to requests. It returns everything that is
// wrong with any of them before anything is built.
func requests(entries []entry) (keys []string, _ map[string]runner.Request, _ error) {
	all := map[string]runner.Request{}
	var problems []error
	for i, e := range entries {
		key := e.key()
		request, err := e.request()
		switch _, twice := all[key]; {
		case err != nil:
			problems = append(problems, fmt.Errorf("build %d (%q): %w", i+1, key, err))
		case twice:
			problems = append(problems, fmt.Errorf("build %d: the key %q is that of an earlier one: give each a key of its own", i+1, key))
		}
		keys, all[key] = append(keys, key), request
	}
	if len(problems) > 0 {
		return nil, nil, usagef("nothing was built:\n%w", errors.Join(problems...))
	}
	return keys, all, nil
}

// key returns the entry's key, or its first tag if it has none.
func (e entry) key() string {
	if e.Key == "" && len(e.Tags) > 0 {
		return e.Tags[0]
	}
	return e.Key
}

// request converts the entry in the same way as build's flags.
func (e entry) request() (runner.Request, error) {
	if e.Source == "" {
		return runner.Request{}, errors.New("it has no source: give a directory or a git URL")
	}
	if len(e.Tags) == 0 {
		return runner.Request{}, errors.New("it has no tags: name the image, as in \"tags\": [\"app:1\"]")
	}
	o := &buildOptions{
		tags: e.Tags, file: e.File, stage: e.Target, pull: e.Pull, noCache: e.NoCache,
		provenance: e.Provenance, sbom: fmt.Sprint(e.SBOM), size: e.Size, gitToken: e.GitToken,
	}
	if o.provenance == "" {
		o.provenance = "false"
	}
	if e.Platform != "" {
		o.platforms = []string{e.Platform}
	}
	var err error
	if e.Timeout != "" {
		if o.timeout, err = time.ParseDuration(e.Timeout); err != nil {
			return runner.Request{}, fmt.Errorf("timeout %q: write it as 30m or 2h", e.Timeout)
		}
	}
	r, err := o.request(e.Source)
	r.BuildArgs, r.Labels, r.Secrets, r.Metadata = maps.Clone(e.BuildArgs), maps.Clone(e.Labels), maps.Clone(e.Secrets), e.Metadata
	return r, err
}
