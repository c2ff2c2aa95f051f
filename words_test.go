package flexbuild_test

import (
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Comments are wrapped at 80 characters, except lines of code, directives,
// addresses and the output of examples.
func TestCommentsAreWrapped(t *testing.T) {
	kept := regexp.MustCompile(`^//(go:|lint:|\t|.*://)`)
	found := 0
	for _, file := range tracked(t) {
		if path.Ext(file) != ".go" {
			continue
		}
		output := false
		for number, line := range strings.Split(read(t, file), "\n") {
			comment := strings.TrimLeft(line, "\t")
			if !strings.HasPrefix(comment, "//") {
				output = false
				continue
			}
			found++
			output = output || strings.HasPrefix(comment, "// Output:")
			if n := utf8.RuneCountInString(line); n > 80 && !output && !kept.MatchString(comment) {
				t.Errorf("%s:%d: a comment of %d characters", file, number+1, n)
			}
		}
	}
	if found < 3000 {
		t.Errorf("%d lines of comments were found: this test does not read what it should", found)
	}
}

// Names use the field's verbs. These words say less than notify, record,
// evaluate, report and distinguish, which take their place.
func TestNamesUseTheFieldsVerbs(t *testing.T) {
	avoided := regexp.MustCompile(`(?i)judge|equipped|wayon`)
	words := regexp.MustCompile(`^(tell|tells|told|learn|learnt|rang|news)$|^(tell|learn)[A-Z]`)
	found := 0
	for _, file := range tracked(t) {
		if path.Ext(file) != ".go" {
			continue
		}
		for _, name := range identifiers(read(t, file)) {
			found++
			if avoided.MatchString(name) || words.MatchString(name) {
				t.Errorf("%s: the name %s: see CONTRIBUTING.md, \"Sentences\"", file, name)
			}
		}
	}
	if found < 100000 {
		t.Errorf("%d names were found: this test does not read what it should", found)
	}
}

// identifiers returns the names in a Go file.
func identifiers(text string) (names []string) {
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile("", files.Base(), len(text)), []byte(text), nil, 0)
	for {
		switch _, kind, name := s.Scan(); kind {
		case token.EOF:
			return names
		case token.IDENT:
			names = append(names, name)
		}
	}
}
