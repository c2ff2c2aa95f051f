package agent

import (
	"errors"
	"os/exec"
	"syscall"
)

// Windows has no process groups, sessions and signals. Engines do not start
// there, and so no build gets here; clients of engines compile.

func ownGroup(*exec.Cmd) {}

func ownSession(*exec.Cmd) {}

func signalGroup(*exec.Cmd, syscall.Signal) {}

func readDescriptor(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
