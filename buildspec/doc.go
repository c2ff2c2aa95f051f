// Package buildspec is flexbuild's contract: what a build is told, what it
// says back, and what a deployed stack publishes about itself.
//
// It holds the one buildspec that the CodeBuild project runs ([Source]) and the
// types around it, and depends on nothing of AWS, so that the construct, the
// runner and the local engine can all share it:
//
//   - [Params] says what to build. [Params.Environment] is the environment that
//     carries it to a build, [ParseParams] the way back.
//   - [Outcome] is what a build that succeeded exported.
//   - [Log] tells a build's own output apart from the agent's.
//   - The Output constants name the outputs of a deployed stack.
//   - [Version] changes whenever any of these changes incompatibly.
//
// A client without flexbuild can use the same project: the AWS CLI or the
// console only has to set the variables.
package buildspec

import (
	_ "embed"
	"regexp"
	"strings"
)

// Version is the version of this contract. A stack publishes the version that
// it was deployed with, a build exports the one that it ran with.
const Version = "2"

//go:embed buildspec.yml
var frame string

//go:embed build.sh
var script string

// Source returns the buildspec, to be given to a CodeBuild project inline: the
// frame buildspec.yml with the script build.sh in it. Comments, empty lines,
// indentation and line breaks inside a command are left out: CodeBuild takes at
// most 25,600 characters, and the CDK's command sends a template with at most
// 51,200, in which each line of the script is indented.
func Source() string {
	return scriptLine.ReplaceAllStringFunc(withoutComments(frame), func(line string) string {
		indent := line[:strings.Index(line, "build.sh")]
		code := codeLine.ReplaceAllString(withoutComments(script), "$1\n")
		code = openLine.ReplaceAllString(continued.ReplaceAllString(code, " "), "$1 ")
		return codeLine.ReplaceAllString(code, indent+"$1\n")
	})
}

func withoutComments(text string) string { return commentLine.ReplaceAllLiteralString(text, "") }

var (
	scriptLine  = regexp.MustCompile(`(?m)^ *build\.sh\n`)
	commentLine = regexp.MustCompile(`(?m)^ *#.*\n`)
	codeLine    = regexp.MustCompile(`(?m)^ *(.*)\n+`)
	continued   = regexp.MustCompile(` *\\\n`)
	openLine    = regexp.MustCompile(`(?m)( (?:then|do|else|in|\{)|&&|\||^else|^\{)\n`) // the command goes on
)

// MaxValueLength is the most characters that the value of one environment
// variable may have. CodeBuild's API refuses a longer one.
const MaxValueLength = 4096
