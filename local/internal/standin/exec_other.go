//go:build !unix

package standin

import (
	"errors"
	"runtime"
)

func become(string, []string) error { return errors.New("stand-ins do not work on " + runtime.GOOS) }
