//go:build !unix

package agent

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// SupervisorMain returns at once, because no build runs here.
func SupervisorMain() {}

// supervise refuses to run a build: a buildspec's commands need a Unix shell.
func supervise(workFolder, *os.File) (*supervised, error) {
	return nil, fmt.Errorf("the local engine runs builds on Linux and macOS, and not on %s: run the engine there, in WSL for example, or build on AWS", runtime.GOOS)
}

func awaitSupervisor(string) error                { return nil }
func readDescriptor(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
