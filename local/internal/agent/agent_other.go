//go:build !unix

package agent

import (
	"errors"
	"os"
)

// No engine starts on Windows, so no build gets here; clients of engines
// compile.

func SupervisorMain() {}

func CheckMain() error { return errors.ErrUnsupported }

func supervise(workFolder, *os.File) (*supervised, error) { return nil, errors.ErrUnsupported }

func awaitSupervisor(string) error { return nil }

func killSession(int) int { return 0 }

func readDescriptor(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
