//go:build unix && !linux

package agent

import (
	"os"
	"syscall"
)

// Only Linux lets a process adopt its orphans, and shows all processes in
// files. Elsewhere, what a command left behind in a process group of its own
// stays.

func thisProgram() (string, error) { return os.Executable() }

func adoptOrphans() error { return nil }

// signalDescendants sends a signal to the process groups of the commands, and
// returns how many of them still have processes.
func signalDescendants(groups []int, signal syscall.Signal) (found int) {
	for _, group := range groups {
		if syscall.Kill(-group, signal) == nil {
			found++
		}
	}
	return found
}

func killSession(int) int { return 0 }
