//go:build !unix

package buildcontext

import (
	"os"
	"time"
)

// setLinkTime does nothing: links have the time at which they are made.
func setLinkTime(*os.Root, string, time.Time) error { return nil }
