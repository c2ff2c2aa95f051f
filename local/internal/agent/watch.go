package agent

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// watcherName is the name under which the program runs as a watcher.
const watcherName = "flexbuild-watcher"

// StartWatcher starts a process that waits for the end of this one, however
// this one ends, and then kills what builds below dir have left running. It is
// this program under another name, which must call WatcherMain first. stop ends
// the watcher.
func StartWatcher(dir string) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, which watches over builds too: %w", err)
	}
	stdin, ours, err := os.Pipe() // the kernel closes our end if nobody else does
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := exec.Command(self)
	cmd.Args, cmd.Env, cmd.Dir, cmd.Stdin = []string{watcherName, dir}, []string{}, "/", stdin
	ownSession(cmd)
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the process that watches over builds: %w", err)
	}
	return func() error {
		ours.Close()
		return cmd.Wait()
	}, nil
}

// WatcherMain is a watcher, and exits, if the program was started as one.
// Otherwise it returns at once.
func WatcherMain() {
	if filepath.Base(os.Args[0]) != watcherName || len(os.Args) != 2 {
		return
	}
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that matters
	killAll(os.Args[1] + "/")
	os.Exit(0)
}
