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

// enclosed returns a command whose end ends everything that it started,
// including containers and their mounts. It is the first process of a PID
// namespace, with mounts of its own. Without that, buildkitd leaves its
// containers running when it is killed. The kernel kills the command when the
// engine dies, even by SIGKILL. Ctrl-C on a terminal does not reach the
// command, because the engine stops it in order.
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

// tryEnclosed returns why this process may not start an enclosed command, or ""
// if it may. In a container, root often lacks CAP_SYS_ADMIN, or has it and may
// not mount.
func tryEnclosed() (denied string) {
	defer tieToThread()()
	out, err := enclosed("/bin/true").CombinedOutput()
	if err == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %v", bytes.TrimSpace(out), err))
}

// tieToThread keeps the calling goroutine's thread alive, because the kernel
// takes the end of the thread that started a child for the death of the parent.
func tieToThread() (untie func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// endLeftover ends the buildkitd of an earlier engine if it still exists. The
// kernel may not have finished killing it.
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

// kill kills a process if it is the buildkitd with that root, and not another
// one that got its number. It waits until the process has ended.
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
