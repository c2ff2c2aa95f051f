package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// enclosed is a command whose end is the end of all that it started, containers and their mounts included: it is the
// first process of a PID namespace, with mounts of its own. buildkitd alone leaves its containers running when it is
// killed. The kernel kills it when the engine dies, even by SIGKILL. A terminal's Ctrl-C does not reach it: the engine
// stops it in its turn.
func enclosed(path string, args ...string) *exec.Cmd {
	const script = `mount -t proc proc /proc && exec "$0" "$@"` // tools find their own processes in there
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, path}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:      true,
		Pdeathsig:    syscall.SIGKILL,
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // not in Cloneflags: this way Go keeps the mounts from the rest of the system
	}
	return cmd
}

// tryEnclosed says why this process may not start an enclosed command; it returns "" if it may. In a container root
// often lacks CAP_SYS_ADMIN, or has it and may not mount.
func tryEnclosed() (denied string) {
	defer tieToThread()()
	out, err := enclosed("/bin/true").CombinedOutput()
	if err == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %v", bytes.TrimSpace(out), err))
}

// tieToThread keeps the calling goroutine's thread alive: the kernel takes the end of the thread that started a child
// for the parent's death.
func tieToThread() (untie func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// endLeftover ends the buildkitd that an earlier engine has left, should it still be there: the kernel may not be done
// with killing it.
func endLeftover(f files) error {
	text, err := os.ReadFile(f.pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
		if err := kill(pid, f.root); err != nil {
			return err
		}
	}
	return os.Remove(f.pid)
}

// kill kills a process, if it is the buildkitd of that root and not another that got its number, and waits for its end.
func kill(pid int, root string) error {
	deadline := time.NewTimer(stopTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for isBuildkitd(pid, root) {
		syscall.Kill(pid, syscall.SIGKILL)
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("process %d does not end when it is killed", pid)
		}
	}
	return nil
}

func isBuildkitd(pid int, root string) bool {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")) // empty for a zombie
	return err == nil && bytes.Contains(line, []byte("\x00"+root+"\x00"))
}
