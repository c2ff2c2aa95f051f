package spec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Artifacts are the files of one artifact. Source of all of it: "artifacts" of
// the buildspec reference.
type Artifacts struct {
	Files         []string // patterns of paths below Base
	Exclude       []string // patterns of paths that are left out
	Base          string   // a directory of the source, or a pattern of several; "." by default
	DiscardPaths  bool     // whether the files lose their directories
	Name          string   // in the shell's language; "" for none
	Prefix        string   // s3-prefix: stands in front of the id of the build
	KeepsSymlinks bool     // whether a ZIP file has symbolic links as they are
}

// artifacts reads the primary artifact, and the secondary ones.
func artifacts(s *Spec, where string, value *yaml.Node) error {
	s.SecondaryArtifacts = map[string]*Artifacts{}
	secondary := func(s *Spec, where string, value *yaml.Node) error {
		return eachField(value, where, func(key, value *yaml.Node) (err error) {
			s.SecondaryArtifacts[key.Value], err = s.artifact(where+"/"+key.Value, value, nil)
			return err
		})
	}
	var err error
	s.Artifacts, err = s.artifact(where, value, map[string]reader{"secondary-artifacts": secondary})
	return err
}

// artifact reads one artifact, whose mapping may have more keys than usual.
func (s *Spec) artifact(where string, value *yaml.Node, keys map[string]reader) (*Artifacts, error) {
	a := &Artifacts{Base: "."}
	readers := map[string]reader{
		"files":           listOf(&a.Files),
		"exclude-paths":   listOf(&a.Exclude),
		"base-directory":  textOf(&a.Base),
		"name":            textOf(&a.Name),
		"s3-prefix":       textOf(&a.Prefix),
		"discard-paths":   choiceOf(&a.DiscardPaths),
		"enable-symlinks": choiceOf(&a.KeepsSymlinks),
	}
	for key, read := range keys {
		readers[key] = read
	}
	_, err := s.fields(value, where, readers)
	if err == nil && len(a.Files) == 0 {
		err = fmt.Errorf("%s has no files at line %d: they are required, also if there are only secondary artifacts", where, value.Line)
	}
	return a, err
}

func textOf(to *string) reader {
	return func(_ *Spec, where string, value *yaml.Node) (err error) {
		*to, err = text(where, value)
		return err
	}
}

// choiceOf reads yes or no, which YAML may take for true or false.
func choiceOf(to *bool) reader {
	return func(_ *Spec, where string, value *yaml.Node) error {
		choice, err := text(where, value)
		if err != nil {
			return err
		}
		known := map[string]bool{"yes": true, "true": true, "no": false, "false": false}
		chosen, found := known[choice]
		if !found {
			return fmt.Errorf("%s must be yes or no, not %q, at line %d", where, choice, value.Line)
		}
		*to = chosen
		return nil
	}
}

// listOf reads a list, or a text that stands for a list of one.
func listOf(to *[]string) reader {
	return func(_ *Spec, where string, value *yaml.Node) error {
		list, err := resolve(value)
		if err != nil || isNull(list) {
			return err
		}
		items := []*yaml.Node{list}
		if list.Kind == yaml.SequenceNode {
			items = list.Content
		}
		for _, item := range items {
			entry, err := text(where, item)
			if err != nil {
				return err
			}
			*to = append(*to, entry)
		}
		return nil
	}
}
