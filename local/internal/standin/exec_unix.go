//go:build unix

package standin

import (
	"os"
	"syscall"
)

// become replaces this process by another program, so that signals and the exit
// status are that program's.
func become(path string, args []string) error {
	return syscall.Exec(path, append([]string{path}, args...), os.Environ())
}
