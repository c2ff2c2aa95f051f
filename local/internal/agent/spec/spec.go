// Package spec reads buildspec files, version 0.2.
//
//	buildspec, err := spec.Parse(text)
//	for _, phase := range buildspec.Phases { … }
//
// Parsing is strict: a key that CodeBuild does not know, and one that it knows
// and the local engine does not support, is an error that names the key and its
// line. Where CodeBuild's own message is known, it is that one. The errors
// become the message of a YAML_FILE_ERROR.
package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A Spec is a parsed buildspec.
type Spec struct {
	Shell      string     // the program that runs commands: "/bin/sh" by default, or "bash"
	RunAs      string     // the user as whom commands run; "" for the build's own
	Variables  []Variable // in the order of the file
	Parameters []Variable // env/parameter-store: the values name parameters
	Secrets    []Variable // env/secrets-manager: the values are references, id:json-key:stage:version
	Runtimes   []Variable // runtime-versions of install: the names are languages
	Exported   []string   // names of the variables whose last values are the build's result
	Phases     []Phase    // those that the file has, in the order in which they run

	Artifacts          *Artifacts            // the primary artifact; nil for none
	SecondaryArtifacts map[string]*Artifacts // by their identifiers
}

// A Variable is one of env/variables. Its value is literal.
type Variable struct{ Name, Value string }

// A Phase is the commands of one phase.
type Phase struct {
	Name      Name
	Commands  []string
	Finally   []string // run after Commands, also when one of them failed
	OnFailure OnFailure
	Retry     *Retry // if OnFailure is RETRY
	RunAs     string // as that of the Spec, instead of it
}

// A Retry is for which failures, and how often at most, the build is started
// again.
type Retry struct {
	Count  int32
	Errors *regexp.Regexp // matches the whole message of the failure
}

// A Name is a phase's, as in the API.
type Name string

// The phases that have commands.
const (
	Install   Name = "INSTALL"
	PreBuild  Name = "PRE_BUILD"
	Build     Name = "BUILD"
	PostBuild Name = "POST_BUILD"
)

// Names are the phases in the order in which they run.
var Names = []Name{Install, PreBuild, Build, PostBuild}

// OnFailure is what happens after a phase that failed.
type OnFailure string

// The choices of on-failure. Without one, a failed BUILD is followed by
// POST_BUILD and any other phase ends the build.
const (
	Default  OnFailure = ""
	Abort    OnFailure = "ABORT"
	Continue OnFailure = "CONTINUE"
	Again    OnFailure = "RETRY"
)

// Phase returns the phase of that name, and whether the file has it.
func (s *Spec) Phase(name Name) (Phase, bool) {
	for _, p := range s.Phases {
		if p.Name == name {
			return p, true
		}
	}
	return Phase{Name: name}, false
}

// maxDepth bounds how deeply aliases may lead.
const maxDepth = 20

// Parse reads a buildspec.
func Parse(text []byte) (*Spec, error) {
	var document yaml.Node
	if err := unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, errors.New("the buildspec is empty")
	}
	s := &Spec{Shell: "/bin/sh"}
	seen, err := s.fields(document.Content[0], "the buildspec", top)
	switch {
	case err != nil:
		return nil, err
	case !seen["version"]:
		return nil, errors.New("the buildspec has no version: write `version: 0.2`")
	case !seen["phases"]:
		return nil, errors.New("the buildspec has no phases")
	}
	s.order()
	return s, nil
}

// order puts the phases in the order in which they run.
func (s *Spec) order() {
	var ordered []Phase
	for _, name := range Names {
		if p, found := s.Phase(name); found {
			ordered = append(ordered, p)
		}
	}
	s.Phases = ordered
}

var yamlLine = lazyregexp.New(`^yaml: (?:line (\d+): )?(.*)$`)

// unmarshal reads YAML; a mistake in it is worded as CodeBuild does: "… at line
// 7".
func unmarshal(text []byte, document *yaml.Node) (err error) {
	defer func() { // the parser panics on a few malformed texts
		if problem := recover(); problem != nil {
			err = fmt.Errorf("the buildspec is not YAML: %v", problem)
		}
	}()
	err = yaml.Unmarshal(text, document)
	if err == nil {
		return nil
	}
	parts := yamlLine().FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	switch {
	case parts == nil:
		return err
	case parts[1] == "":
		return errors.New(parts[2])
	}
	return fmt.Errorf("%s at line %s", parts[2], parts[1])
}
