//go:build unix

package agent

import "golang.org/x/sys/unix"

// readDescriptor reads from a descriptor once. That returns at once if the
// descriptor does not block, and with an error if there is nothing to read.
func readDescriptor(fd uintptr, chunk []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), chunk)
		if err != unix.EINTR {
			return n, err
		}
	}
}
