//go:build !unix

package buildcontext

import (
	"os"
	"time"
)

// setLinkTime does nothing: on this system, links keep the time of their
// creation.
func setLinkTime(*os.Root, string, time.Time) error { return nil }
