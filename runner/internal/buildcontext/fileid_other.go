//go:build !unix

package buildcontext

import "io/fs"

type fileID struct{}

// fileIDOf does not detect hard links, so each name becomes a file of its own.
func fileIDOf(fs.FileInfo) (fileID, bool) { return fileID{}, false }

// nonBlocking is not needed here, because there are no pipes among the files.
const nonBlocking = 0
