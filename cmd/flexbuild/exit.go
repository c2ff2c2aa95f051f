package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/deploy"
	"github.com/codebuild-flex/flexbuild/runner"
)

// These are the exit codes. docs/command.md documents them.
const (
	exitFailed      = 1   // the build, or the deployment, failed
	exitUsage       = 2   // wrong usage
	exitTimedOut    = 3   // the build timed out
	exitStopped     = 4   // the build was stopped
	exitFault       = 5   // a fault of the service or of this machine
	exitSomeFailed  = 6   // some builds of a batch failed
	exitInterrupted = 130 // interrupted before a build was started, after it ended, or a second time
	exitReaderGone  = 141 // the reader of the output has exited; the code of a program that SIGPIPE ends
)

// usageError is an error in the use of the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCodes maps errors to exit codes. They are tried in order.
var exitCodes = []struct {
	err  error
	code int
}{
	{runner.ErrBuildFailed, exitFailed},
	{runner.ErrNoDigest, exitFailed},
	{deploy.ErrFailed, exitFailed},
	{runner.ErrTimedOut, exitTimedOut},
	{runner.ErrStopped, exitStopped},
	{context.Canceled, exitInterrupted},
	{errSomeFailed, exitSomeFailed},
	{runner.ErrInvalidRequest, exitUsage},
	{deploy.ErrInvalid, exitUsage},
}

// exitCode prints the error for people and returns the exit code for programs.
func exitCode(stderr io.Writer, err error) int {
	if err != nil && !errors.Is(err, errReaderGone) { // nobody would read it
		// People know that they have interrupted it; they need not know what a
		// context is.
		text := strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted")
		fmt.Fprintln(stderr, "flexbuild:", text)
		if inActions() {
			annotate(stderr, text)
		}
	}
	return exitStatus(err)
}

// exitStatus returns the exit code of an error.
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
