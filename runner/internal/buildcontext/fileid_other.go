//go:build !unix

package buildcontext

import "io/fs"

type fileID struct{}

// fileIDOf knows no hard links: each name becomes a file of its own.
func fileIDOf(fs.FileInfo) (fileID, bool) { return fileID{}, false }

// nonBlocking is not needed without pipes among the files.
const nonBlocking = 0
