//go:build unix

package agent

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Every build has a supervisor, which is this program under another name. It
// starts the build's commands, so that all processes of the build descend from
// it. On Linux, the supervisor adopts those whose parents have ended, whatever
// session, group or environment they have. It kills all of them when its
// standard input ends: the engine closes it at the end of the build, and the
// kernel does when the engine dies.
//
// A command can kill its supervisor. The build then fails, and the engine kills
// what is left in the supervisor's session.

// supervisorName is the name under which the program runs as a supervisor.
const supervisorName = "flexbuild-supervisor"

// supervises reports whether SupervisorMain was called. A program that does not
// call it cannot be started as a supervisor.
var supervises atomic.Bool

// CheckMain returns an error if builds cannot run because the program did not
// call SupervisorMain.
func CheckMain() error {
	if supervises.Load() {
		return nil
	}
	return errors.New("this program cannot run builds: call local.StandIn() first in main, or in TestMain of tests")
}

// SupervisorMain is a supervisor, and exits, if the program was started as one.
// Otherwise it returns at once.
func SupervisorMain() {
	if filepath.Base(os.Args[0]) != supervisorName || len(os.Args) != 2 {
		supervises.Store(true)
		return
	}
	syscall.CloseOnExec(3) // commands have no business with it
	s := supervisor{ends: gob.NewEncoder(os.NewFile(3, "ends")), started: make(chan struct{}, 1)}
	if err := s.main(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A supervisor runs one command at a time.
type supervisor struct {
	ends    *gob.Encoder
	started chan struct{} // something may have to be waited for

	mu      sync.Mutex
	running int   // the process of the command; 0 without one
	groups  []int // the process groups of all commands
}

// main returns when no process of the build is left.
func (s *supervisor) main(dir string) error {
	// What ends the engine in order must not end the supervisor before it.
	// Commands get the default actions back, which they would not if the signals
	// were ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	folder, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := adoptOrphans(); err != nil {
		return fmt.Errorf("adopt the build's orphans: %w", err)
	}
	go s.reap()
	tasks := gob.NewDecoder(os.Stdin)
	for {
		var t task
		if err := tasks.Decode(&t); err != nil {
			s.kill()
			return nil
		}
		if t.Signal != 0 {
			s.signal(t.Signal)
		} else if err := s.start(t); err != nil {
			_ = s.ends.Encode(taskEnd{Error: err.Error()}) // without an engine, tasks end too
		}
	}
}

// start starts a command in a process group of its own, where a "kill 0" does
// not reach the supervisor.
func (s *supervisor) start(t task) (err error) {
	files := []*os.File{os.Stdout, os.Stderr}
	for i, name := range []string{t.Stdout, t.Stderr} {
		if name != "" {
			if files[i], err = os.Create(name); err != nil {
				return err
			}
			defer files[i].Close()
		}
	}
	cmd := exec.Command(t.Args[0], t.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = t.Env, t.Dir, files[0], files[1]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running = cmd.Process.Pid
	s.groups = append(s.groups, s.running)
	_ = cmd.Process.Release() // reap waits for it
	select {
	case s.started <- struct{}{}:
	default:
	}
	return nil
}

// reap waits for the end of commands and of orphans.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			<-s.started // there is no child, and only start makes some
		case err == nil && s.ended(pid):
			_ = s.ends.Encode(taskEnd{Status: status})
		}
	}
}

// ended reports whether the process is the command's.
func (s *supervisor) ended(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid != s.running {
		return false
	}
	s.running = 0
	return true
}

// signal sends a signal to the build's processes and returns how many they are.
func (s *supervisor) signal(signal syscall.Signal) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return signalDescendants(s.groups, signal)
}

// kill kills the build's processes, including those that they start meanwhile,
// and waits until they have ended.
func (s *supervisor) kill() { killAll(func() int { return s.signal(syscall.SIGKILL) }) }

// lockFolder locks a work folder for this process, which ends with it. A
// supervisor has it until no process of its build is left.
func lockFolder(dir string) (*os.File, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		folder.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return folder, nil
}

// awaitSupervisor waits until the supervisor of an engine that was killed has
// ended the processes of its build.
func awaitSupervisor(dir string) error {
	for deadline := time.Now().Add(2 * killTimeout); ; time.Sleep(killInterval) {
		folder, err := lockFolder(dir)
		if err == nil {
			return folder.Close()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil // its removal says what is wrong with it
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of an earlier build in %s do not end when they are killed", dir)
		}
	}
}

// supervise starts the supervisor of the build in a work folder. What commands
// print goes to output.
func supervise(folder workFolder, output *os.File) (*supervised, error) {
	if err := CheckMain(); err != nil {
		return nil, err
	}
	self, err := thisProgram()
	if err != nil {
		return nil, fmt.Errorf("find this program, which supervises builds too: %w", err)
	}
	ends, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(self)
	cmd.Args, cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{supervisorName, folder.root}, []string{}, "/", []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends the engine's group or terminal must not end it
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		ends.Close()
		return nil, fmt.Errorf("start the process that supervises the build: %w", err)
	}
	s := &supervised{cmd: cmd, stdin: stdin, tasks: gob.NewEncoder(stdin), ends: make(chan taskEnd, 1)}
	go s.receive(ends)
	return s, nil
}
