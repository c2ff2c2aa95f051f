//go:build unix

package buildcontext

import (
	"io/fs"
	"syscall"
)

// fileID identifies a file that may have several names.
type fileID struct{ device, inode uint64 }

// fileIDOf returns the file's id, and reports whether it has several names.
func fileIDOf(info fs.FileInfo) (id fileID, several bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return fileID{}, false
	}
	return fileID{uint64(stat.Dev), stat.Ino}, true
}

// nonBlocking keeps the opening of a pipe from waiting for its other end. A
// pipe may have replaced a file since the scan. The flag also saves five system
// calls of the os package for each file.
const nonBlocking = syscall.O_NONBLOCK
