//go:build unix

package agent

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes a command the first process of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// ownSession makes a command the first process of a session, and so of a
// group. What ends this process's group or terminal does not end it.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// signalGroup sends a signal to the processes of a command's group, which may
// just have ended.
func signalGroup(cmd *exec.Cmd, signal syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, signal) }

// readDescriptor reads from a descriptor once. That returns at once if the
// descriptor does not block, and with an error if there is nothing to read.
func readDescriptor(fd uintptr, chunk []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), chunk)
		if err != unix.EINTR {
			return n, err
		}
	}
}
