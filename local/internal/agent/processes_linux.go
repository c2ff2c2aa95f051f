package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The processes of a build are those with its source folder in their
// environment: CODEBUILD_SRC_DIR is set for every command, its value belongs to
// one build only, and it is inherited. A process group would lose those that
// make their own, a cgroup needs a machine that lets the engine have one.

// A process is identified by a descriptor, because its number could be given to
// another process.
type process struct{ pidfd int }

// processesOf finds the processes of the build whose source folder is given, or
// of all builds below a folder whose name ends in a slash.
func processesOf(source string) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !belongs(pid, source) {
			continue
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		if !belongs(pid, source) { // it ended, and its number was given to another
			unix.Close(pidfd)
			continue
		}
		found = append(found, process{pidfd})
	}
	return found
}

func belongs(pid int, source string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	marker := []byte("CODEBUILD_SRC_DIR=" + source)
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if bytes.Equal(variable, marker) || strings.HasSuffix(source, "/") && bytes.HasPrefix(variable, marker) {
			return true
		}
	}
	return false
}

// endAll sends SIGTERM to the build's processes.
func endAll(source string) {
	for _, p := range processesOf(source) {
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGTERM, nil, 0) // it may just have ended
		unix.Close(p.pidfd)
	}
}

// exitWait is how long a killed process is waited for, in milliseconds. A
// process in an uninterruptible wait may need longer.
const exitWait = 2000

// killAll kills the build's processes, including those that they start
// meanwhile, and waits until they have ended.
func killAll(source string) {
	const rounds = 50 // a process that forks faster than it can be killed must not hold the engine for ever
	for range rounds {
		processes := processesOf(source)
		if len(processes) == 0 {
			return
		}
		for _, p := range processes {
			_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
		}
		for _, p := range processes {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}, exitWait)
			unix.Close(p.pidfd)
		}
	}
}
