package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second // for buildkitd's start, which takes a few hundred milliseconds
	stopTimeout  = 5 * time.Second  // from SIGTERM to SIGKILL; the builds have ended by then
	pollInterval = 20 * time.Millisecond
	maxSocket    = 100 // bytes of a Unix socket's path: Linux takes 107
)

// A buildkitd is a running child process. It runs in real time, so waiting for
// it does not use the engine's clock.
type buildkitd struct {
	cmd    *exec.Cmd
	files  files
	exited chan struct{} // closed at its end
	err    error         // why it ended; read it after exited is closed
}

// files are the paths of a buildkitd.
type files struct {
	root   string // its state: cache, snapshots, metadata
	config string
	log    string // its stderr
	pid    string
	socket string
}

// startBuildkitd starts a plan's buildkitd with its state in the options'
// folder, and returns when it answers.
func startBuildkitd(ctx context.Context, options Options, p plan) (*buildkitd, error) {
	f, err := prepareFiles(options.Dir, configuration(p.runc, options.Registry))
	if err != nil {
		return nil, fmt.Errorf("start buildkitd: %w", err)
	}
	log, err := os.Create(f.log)
	if err != nil {
		return nil, fmt.Errorf("start buildkitd: %w", err)
	}
	defer log.Close() // the child has a descriptor of its own
	d := &buildkitd{files: f, exited: make(chan struct{}), cmd: enclosed(p.buildkitd, "--config", f.config, "--root", f.root, "--addr", "unix://"+f.socket)}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), wholeLog...)
	if err := d.start(); err != nil {
		return nil, fmt.Errorf("start buildkitd: %w", err)
	}
	if err := errors.Join(d.writePID(), d.waitReady(ctx)); err != nil {
		return nil, fmt.Errorf("start buildkitd: %w; its log, %s, ends with:\n%s", errors.Join(err, d.stop()), f.log, tail(f.log))
	}
	return d, nil
}

// wholeLog removes BuildKit's limits on a step's output, above which it drops
// output, including the last lines.
var wholeLog = []string{"BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1"}

// prepareFiles makes the folders and the configuration, after ending what a
// killed engine may have left running.
func prepareFiles(dir, configuration string) (files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return files{}, err
	}
	f := files{
		root:   filepath.Join(dir, "buildkit"),
		config: filepath.Join(dir, "buildkitd.toml"),
		log:    filepath.Join(dir, "buildkitd.log"),
		pid:    filepath.Join(dir, "buildkitd.pid"),
		socket: filepath.Join(dir, "buildkitd.sock"),
	}
	if err := os.MkdirAll(f.root, 0o700); err != nil {
		return f, err
	}
	if err := endLeftover(f); err != nil {
		return f, fmt.Errorf("end the buildkitd of an earlier engine: %w", err)
	}
	if len(f.socket) > maxSocket {
		short, err := os.MkdirTemp("/tmp", "flexbuild-")
		if err != nil {
			return f, err
		}
		f.socket = filepath.Join(short, "buildkitd.sock")
	}
	return f, os.WriteFile(f.config, []byte(configuration), 0o600)
}

// start starts the process and the goroutine that waits for its end.
func (d *buildkitd) start() error {
	started := make(chan error)
	go func() {
		defer tieToThread()()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			d.err = d.cmd.Wait()
			close(d.exited)
		}
	}()
	return <-started
}

func (d *buildkitd) writePID() error {
	return os.WriteFile(d.files.pid, []byte(strconv.Itoa(d.cmd.Process.Pid)), 0o600)
}

// waitReady waits until the socket accepts connections. buildkitd listens when
// its worker is ready.
func (d *buildkitd) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it does not answer at %s within %v", d.address(), startTimeout))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", d.files.socket); err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-d.exited:
			return fmt.Errorf("it ended at once: %w", d.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *buildkitd) address() string { return "unix://" + d.files.socket }

func (d *buildkitd) running() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// stop ends the process, after a moment to finish what its clients wait for,
// and removes what it does not need for another start.
func (d *buildkitd) stop() error {
	if d.running() {
		d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.exited:
		case <-time.After(stopTimeout):
			d.cmd.Process.Kill()
			<-d.exited
		}
	}
	if dir := filepath.Dir(d.files.socket); dir != filepath.Dir(d.files.pid) {
		os.RemoveAll(dir)
	}
	if err := os.Remove(d.files.pid); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tail returns the end of a log file, for an error message.
func tail(path string) []byte {
	const most = 2000
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return bytes.TrimSpace(text)
}
