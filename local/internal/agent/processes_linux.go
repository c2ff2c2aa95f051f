package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of its descendants whose parents
// end. Otherwise, the first process of the machine is.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// signalDescendants sends a signal to all descendants of this process, and
// returns how many there are.
func signalDescendants(_ []int, signal syscall.Signal) int {
	children := map[int][]int{}
	for _, pid := range processes() {
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	found := children[os.Getpid()]
	for i := 0; i < len(found); i++ {
		for _, child := range children[found[i]] {
			signalChild(found[i], child, signal)
		}
		found = append(found, children[found[i]]...)
	}
	for _, child := range children[os.Getpid()] {
		signalChild(os.Getpid(), child, signal)
	}
	return len(found)
}

// signalChild sends a signal to a process with the given parent, and not to
// another one that got its number.
func signalChild(parent, pid int, signal syscall.Signal) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(pidfd)
	if parentOf(pid) == parent {
		_ = unix.PidfdSendSignal(pidfd, signal, nil, 0) // it may just have ended
	}
}

func processes() []int {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	var all []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// parentOf returns the parent of a process, or 0 if the process has ended.
func parentOf(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The second field is the program's name, in parentheses; it may have
	// anything in it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}
