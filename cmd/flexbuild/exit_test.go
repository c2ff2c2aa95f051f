package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/runner"
)

func TestExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"success":                               {nil, 0},
		"a build that failed":                   {fmt.Errorf("x: %w", runner.ErrBuildFailed), 1},
		"a build without an image":              {runner.ErrNoDigest, 1},
		"a wrong flag":                          {usagef("--x"), 2},
		"a request that cannot work":            {fmt.Errorf("%w: x", runner.ErrInvalidRequest), 2},
		"a repository that is not allowed":      {fmt.Errorf("%w: x", runner.ErrRepositoryNotAllowed), 2},
		"a build that timed out":                {runner.ErrTimedOut, 3},
		"a build that was stopped":              {runner.ErrStopped, 4},
		"Ctrl-C, and the build has stopped":     {fmt.Errorf("%w: %w", context.Canceled, runner.ErrStopped), 4},
		"Ctrl-C, but the build had failed":      {fmt.Errorf("%w: %w", context.Canceled, runner.ErrBuildFailed), 1},
		"Ctrl-C, but the build may go on":       {fmt.Errorf("%w: may go on: %w", context.Canceled, runner.ErrUnreachable), 130},
		"Ctrl-C, and there was nothing to stop": {fmt.Errorf("list the builds: %w", context.Canceled), 130},
		"a service that does not answer":        {runner.ErrUnreachable, 5},
		"anything else":                         {errors.New("disk full"), 5},
		"nobody who reads":                      {fmt.Errorf("print: %w", errReaderGone), 141},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if got := exitCode(&stderr, test.err); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
			if silent := test.want == 0 || test.want == 141; silent != (stderr.Len() == 0) {
				t.Errorf("stderr %q", stderr.String())
			}
		})
	}
}
