//go:build unix

package buildcontext

import (
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// setLinkTime sets the time of a link itself, below the root.
func setLinkTime(root *os.Root, name string, at time.Time) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	when := unix.NsecToTimespec(at.UnixNano())
	err = unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW)
	return errors.Join(err, dir.Close())
}
