// Package buildspec is flexbuild's contract: the parameters of a build, what a
// build reports, and what a deployed stack publishes.
//
// It holds the buildspec that the CodeBuild project runs ([Source]) and the
// types around it. It depends on nothing of AWS, so that the construct, the
// runner and the local engine can all use it:
//
//   - [Params] are the parameters of a build. [Params.Environment] converts
//     them to environment variables, and [ParseParams] converts them back.
//   - [Outcome] is what a successful build exports.
//   - [Log] distinguishes a build's own output from the agent's.
//   - The Output constants name the outputs of a deployed stack.
//   - [Version] changes whenever any of these changes incompatibly.
//
// A client that calls StartBuild itself makes the variables, and reads the
// image from those that the build exports:
//
//	params := buildspec.Params{Tags: []string{"app:1.2"}, Target: "release"}
//	if err := params.Validate(); err != nil {
//		return err
//	}
//	variables := params.Environment() // of StartBuild
//	…
//	outcome, err := buildspec.ParseOutcome(exported) // of BatchGetBuilds
//	…
//	fmt.Println(outcome.ImageURI)
//
// A client without Go can do the same: docs/contract.md describes the
// variables.
//
// [Version] is the contract's own version. The exported API is covered by the
// compatibility promise of the module, which package flexbuild states.
package buildspec

import (
	_ "embed"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Version is the version of this contract. A stack publishes the version with
// which it was deployed, and a build exports the version with which it ran.
const Version = "2"

//go:embed buildspec.yml
var frame string

//go:embed build.sh
var script string

// Source returns the buildspec that a CodeBuild project gets inline:
// buildspec.yml with the script build.sh in it. Source removes comments, empty
// lines, indentation and line breaks inside a command, because CodeBuild
// accepts at most 25,600 characters, and the CDK CLI sends a template of at
// most 51,200 bytes, in which each line of the script is indented.
func Source() string {
	return scriptLine().ReplaceAllStringFunc(withoutComments(frame), func(line string) string {
		indent := line[:strings.Index(line, "build.sh")]
		code := codeLine().ReplaceAllString(withoutComments(script), "$1\n")
		code = openLine().ReplaceAllString(continued().ReplaceAllString(code, " "), "$1 ")
		code = strings.ReplaceAll(closeLine().ReplaceAllString(code, "; $1"), ";;; ", ";; ")
		return codeLine().ReplaceAllString(code, indent+"$1\n")
	})
}

func withoutComments(text string) string { return commentLine().ReplaceAllLiteralString(text, "") }

var (
	scriptLine  = lazyregexp.New(`(?m)^ *build\.sh\n`)
	commentLine = lazyregexp.New(`(?m)^ *#.*\n`)
	codeLine    = lazyregexp.New(`(?m)^ *(.*)\n+`)
	continued   = lazyregexp.New(` *\\\n`)
	openLine    = lazyregexp.New(`(?m)( (?:then|do|else|in|\{)|&&|\||^else|^\{|^[^(\n]*\))\n`) // the command goes on
	closeLine   = lazyregexp.New(`(?m)\n((?:fi|done|\}|esac|return|exit)[^\n]*)$`)             // a command ends on the line before
)

// MaxValueLength is the maximum length in characters of an environment
// variable's value. CodeBuild's API refuses longer ones.
const MaxValueLength = 4096
