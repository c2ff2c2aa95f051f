package agent

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// ioWait is how long a finished git may keep its output open through a helper
// that it left behind.
const ioWait = time.Second

// run runs a program in a process group of its own. When ctx ends, the build's
// processes get SIGTERM, and what remains after the grace period SIGKILL; the
// error is then the cause of ctx.
func (b *build) run(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ownGroup(cmd)
	cmd.WaitDelay = ioWait
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		b.kill(cmd, ended)
		return context.Cause(ctx)
	}
}

// kill ends a running command and all else of the build.
func (b *build) kill(cmd *exec.Cmd, ended <-chan error) {
	signalGroup(cmd, syscall.SIGTERM)
	endAll(b.folder.source())
	select {
	case <-ended:
	case <-b.Clock.After(b.Grace):
		signalGroup(cmd, syscall.SIGKILL)
		<-ended
	}
	signalGroup(cmd, syscall.SIGKILL) // what the command left in its group
	killAll(b.folder.source())
}
