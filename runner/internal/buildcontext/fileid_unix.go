//go:build unix

package buildcontext

import (
	"io/fs"
	"syscall"
)

// fileID is what the names of one file have in common.
type fileID struct{ device, inode uint64 }

// fileIDOf returns the file's id, and reports whether it has several names.
func fileIDOf(info fs.FileInfo) (id fileID, several bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return fileID{}, false
	}
	return fileID{uint64(stat.Dev), stat.Ino}, true
}

// nonBlocking keeps the opening of a pipe, which may have replaced a file since
// the scan, from waiting for its other end. It spares the os package five system
// calls a file, too.
const nonBlocking = syscall.O_NONBLOCK
