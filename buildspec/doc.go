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

import _ "embed"

// Version is the version of this contract. A stack publishes the version that
// it was deployed with, a build exports the one that it ran with.
const Version = "1"

//go:embed buildspec.yml
var source string

// Source returns the buildspec, to be given to a CodeBuild project inline.
func Source() string { return source }

// MaxValueLength is the most characters that the value of one environment
// variable may have. CodeBuild documents no limit per value; flexbuild stays
// under the 4,096 that it has been seen to accept.
const MaxValueLength = 4096
