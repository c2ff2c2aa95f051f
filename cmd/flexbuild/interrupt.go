package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/codebuild-flex/flexbuild/runner"
)

// interruption ends the command's context: what runs is stopped and waited for.
type interruption struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	running map[string]bool // ids of the builds that end with the command
}

// untilInterrupted returns a context that ends with the first SIGINT, SIGTERM or
// SIGHUP, or when somebody who reads the output has gone ([interruption.output]).
// A second signal ends the process at once.
func untilInterrupted(parent context.Context) (context.Context, *interruption) {
	ctx, cancel := context.WithCancel(parent)
	i := &interruption{cancel: cancel, done: make(chan struct{}), running: map[string]bool{}}
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // under nohup it is
		signal.Notify(ends, syscall.SIGHUP)
	}
	// Instead of ending the process, a write then fails with EPIPE. Ignoring the
	// signal would do that too, but for the engine's builds as well.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go i.listen(ends)
	return ctx, i
}

func (i *interruption) listen(ends chan os.Signal) {
	for count := 0; ; count++ {
		select {
		case <-ends:
			if count > 0 {
				fmt.Fprintln(os.Stderr, "flexbuild: interrupted again: what was being stopped may go on"+i.goOn())
				os.Exit(exitInterrupted)
			}
			i.cancel()
		case <-i.done:
			signal.Stop(ends)
			return
		}
	}
}

// see takes note of a build that the command starts, and of its end.
func (i *interruption) see(e runner.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch e.Type {
	case runner.EventStarted:
		i.running[e.BuildID] = true
	case runner.EventFinished:
		delete(i.running, e.BuildID)
	}
}

// goOn says which builds may go on, and what to do about them.
func (i *interruption) goOn() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.running) == 0 {
		return ""
	}
	ids := strings.Join(slices.Sorted(maps.Keys(i.running)), " ")
	return fmt.Sprintf(":\n  flexbuild wait %s\n  flexbuild stop ID ends one", ids)
}

// stop ends the listening.
func (i *interruption) stop() {
	close(i.done)
	i.cancel()
}

// output is file for as long as somebody reads it. When the reader has gone, as
// head does, nobody waits for the rest: that is an interruption.
func (i *interruption) output(file *os.File) io.Writer { return output{file, i} }

type output struct {
	file         *os.File
	interruption *interruption
}

func (o output) Write(text []byte) (int, error) {
	n, err := o.file.Write(text)
	if errors.Is(err, syscall.EPIPE) {
		o.interruption.cancel()
		err = errReaderGone
	}
	return n, err
}

// errReaderGone: whoever read the output has left.
var errReaderGone = errors.New("nobody reads the output any more")
