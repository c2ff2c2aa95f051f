package agent

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A task is a command that the supervisor runs, or a signal for all processes
// of the build.
type task struct {
	Args           []string
	Env            []string
	Dir            string
	Stdout, Stderr string // files to write; the build's output by default
	Signal         syscall.Signal
}

// A taskEnd is how a command ended.
type taskEnd struct {
	Status syscall.WaitStatus
	Error  string // why it was not started
}

// A supervised is the engine's end of a supervisor.
type supervised struct {
	cmd   *exec.Cmd
	stdin io.Closer
	tasks *gob.Encoder
	ends  chan taskEnd // closed when the supervisor has ended

	closing sync.Once
}

// errNoSupervisor is the error of a command whose build cannot go on.
var errNoSupervisor = errors.New("the process that supervises the build has ended: did a command of the build kill it?")

// run runs a command. When ctx ends, the build's processes get SIGTERM, and
// what remains after the grace period SIGKILL; the error is then the cause of
// ctx.
func (b *build) run(ctx context.Context, command task) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := b.supervised.tasks.Encode(command); err != nil {
		return errNoSupervisor
	}
	select {
	case end, alive := <-b.supervised.ends:
		if !alive {
			return errNoSupervisor
		}
		return end.err()
	case <-ctx.Done():
		b.kill()
		return context.Cause(ctx)
	}
}

// kill ends a running command and all else of the build.
func (b *build) kill() {
	_ = b.supervised.tasks.Encode(task{Signal: syscall.SIGTERM}) // close kills what does not get it
	select {
	case <-b.supervised.ends:
	case <-b.Clock.After(b.Grace):
	}
	b.supervised.close()
}

// err returns the error of a command in the words of os/exec.
func (e taskEnd) err() error {
	switch {
	case e.Error != "":
		return errors.New(e.Error)
	case e.Status.Signaled():
		return fmt.Errorf("signal: %v", e.Status.Signal())
	case e.Status.ExitStatus() != 0:
		return fmt.Errorf("exit status %d", e.Status.ExitStatus())
	}
	return nil
}

// capture runs a command and returns what it prints.
func (b *build) capture(ctx context.Context, command task) (stdout, stderr string, err error) {
	command.Stdout, command.Stderr = b.saved("stdout"), b.saved("stderr")
	if err = b.run(ctx, command); ctx.Err() != nil {
		return "", "", err
	}
	out, outErr := os.ReadFile(command.Stdout)
	problems, problemsErr := os.ReadFile(command.Stderr)
	if err == nil {
		err = errors.Join(outErr, problemsErr)
	}
	return string(out), string(problems), err
}

// receive receives the ends of commands, until the supervisor has ended.
func (s *supervised) receive(from *os.File) {
	defer from.Close()
	defer close(s.ends)
	for ends := gob.NewDecoder(from); ; {
		var end taskEnd
		if ends.Decode(&end) != nil {
			return
		}
		s.ends <- end
	}
}

// close kills all processes of the build and waits until they have ended. It
// may be called more than once.
func (s *supervised) close() {
	s.closing.Do(func() {
		s.stdin.Close()
		overdue := time.AfterFunc(2*killTimeout, func() { _ = s.cmd.Process.Kill() }) // a command may have sent it SIGSTOP
		for range s.ends {
		}
		overdue.Stop()
		// Until Wait, no other process can have its number.
		killAll(func() int { return killSession(s.cmd.Process.Pid) })
		_ = s.cmd.Wait() // its errors are in the build's log
	})
}

const (
	// killTimeout is how long a supervisor waits for processes that it killed.
	// One in an uninterruptible wait may need longer, and one that forks faster
	// than it can be killed must not hold the engine for ever.
	killTimeout = 10 * time.Second

	killInterval = time.Millisecond
)

// killAll calls kill until kill returns that it found no process, or for
// killTimeout.
func killAll(kill func() int) {
	for deadline := time.Now().Add(killTimeout); kill() > 0 && time.Now().Before(deadline); {
		time.Sleep(killInterval)
	}
}
