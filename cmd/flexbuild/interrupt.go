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

// interruption cancels the command's context when the command is interrupted.
// The command then stops its builds and waits for them.
type interruption struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	running map[string]bool // ids of the builds that the command has to stop
}

// untilInterrupted returns a context that ends with the first SIGINT, SIGTERM
// or SIGHUP, or when the reader of the output exits ([interruption.output]). A
// second signal ends the process at once.
func untilInterrupted(parent context.Context) (context.Context, *interruption) {
	ctx, cancel := context.WithCancel(parent)
	i := &interruption{cancel: cancel, done: make(chan struct{}), running: map[string]bool{}}
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signal.Notify(ends, syscall.SIGHUP)
	}
	// A write then fails with EPIPE instead of ending the process. Ignoring the
	// signal would do the same, but the builds of an engine would inherit that.
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

// see records the start and the end of a build.
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

// goOn returns which builds may still be running, and what to do about them.
func (i *interruption) goOn() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.running) == 0 {
		return ""
	}
	ids := strings.Join(slices.Sorted(maps.Keys(i.running)), " ")
	return fmt.Sprintf(":\n  flexbuild wait %s\n  flexbuild stop ID ends one", ids)
}

// stop stops listening for signals.
func (i *interruption) stop() {
	close(i.done)
	i.cancel()
}

// output returns a writer to file. When the reader of the file exits, as head
// does, a write cancels the context, because nobody waits for the rest.
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

// errReaderGone means that the reader of the output has exited.
var errReaderGone = errors.New("nobody reads the output any more")
