package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/codebuild-flex/flexbuild/runner"
)

// Exit codes. docs/command.md documents them.
const (
	exitFailed      = 1   // the build failed
	exitUsage       = 2   // wrong usage
	exitTimedOut    = 3   // the build timed out
	exitStopped     = 4   // the build was stopped
	exitFault       = 5   // a fault of the service or of this machine
	exitSomeFailed  = 6   // some builds of a batch failed
	exitInterrupted = 130 // interrupted before a build was started, after it ended, or a second time
	exitReaderGone  = 141 // nobody reads the output any more, as with a program that SIGPIPE ends
)

// usageError is a mistake of whoever called the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCodes are tried in order.
var exitCodes = []struct {
	err  error
	code int
}{
	{runner.ErrBuildFailed, exitFailed},
	{runner.ErrNoDigest, exitFailed},
	{runner.ErrTimedOut, exitTimedOut},
	{runner.ErrStopped, exitStopped},
	{context.Canceled, exitInterrupted},
	{errSomeFailed, exitSomeFailed},
	{runner.ErrInvalidRequest, exitUsage},
}

// exitCode tells people what went wrong and programs which kind it was.
func exitCode(stderr io.Writer, err error) int {
	if err != nil && !errors.Is(err, errReaderGone) { // a reader who has gone knows
		// People have interrupted it; what a context is, they need not know.
		fmt.Fprintln(stderr, "flexbuild:", strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted"))
	}
	return exitStatus(err)
}

// exitStatus is the exit code of an error.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReaderGone):
		return exitReaderGone
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	for _, known := range exitCodes {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return exitFault
}
