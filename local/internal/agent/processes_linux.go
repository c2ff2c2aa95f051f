package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// thisProgram returns a path under which this program can be started, even if
// its file was replaced or removed.
func thisProgram() (string, error) { return "/proc/self/exe", nil }

// adoptOrphans makes this process the parent of its descendants whose parents
// end. Otherwise, the first process of the machine is.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// signalDescendants sends a signal to all descendants of this process, and
// returns how many there are.
func signalDescendants(_ []int, signal syscall.Signal) int {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p)
	}
	found := children[os.Getpid()]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	for i := len(found) - 1; i >= 0; i-- { // children before their parents, which may end because of it
		found[i].signal(signal)
	}
	return len(found)
}

// killSession kills the processes of a session and returns how many there are,
// without those that have ended and not been waited for.
func killSession(session int) (found int) {
	for _, p := range processes() {
		if p.session == session && p.state != "Z" {
			p.signal(syscall.SIGKILL)
			found++
		}
	}
	return found
}

// A process is what the kernel says about one.
type process struct {
	pid             int
	state           string // "Z" of a zombie
	parent, session int
}

func processes() []process {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(entry))
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// readProcess returns a process, unless it has ended and was waited for.
func readProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	// The second field is the program's name, in parentheses; it may have
	// anything in it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 4 {
		return process{}, false
	}
	p := process{pid: pid, state: string(fields[0])}
	p.parent, _ = strconv.Atoi(string(fields[1]))
	p.session, _ = strconv.Atoi(string(fields[3]))
	return p, true
}

// signal sends a signal to the process, and not to another one that got its
// number.
func (p process) signal(signal syscall.Signal) {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return
	}
	defer handle.Release()
	if now, ok := readProcess(p.pid); ok && now.parent == p.parent && now.session == p.session {
		_ = handle.Signal(signal) // it may just have ended
	}
}
