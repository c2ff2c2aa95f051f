//go:build unix

package local

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// locked reports whether a process holds the lock of the state file, as a
// running engine does. locked releases the lock at once if it gets it; an
// engine that starts at that moment tries again.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
