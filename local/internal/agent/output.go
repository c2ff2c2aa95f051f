package agent

import (
	"bytes"
	"errors"
	"os"
	"time"
)

// An output receives what the commands of a build print. One pipe serves the
// whole build, so that a server which a command started in the background can
// go on printing.
type output struct {
	read, write *os.File
	log         *buildLog
	line        []byte // the beginning of an incomplete line
	drained     chan struct{}
	ended       chan struct{}
}

func newOutput(log *buildLog) (*output, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{read: read, write: write, log: log, drained: make(chan struct{}), ended: make(chan struct{})}
	go o.copy()
	return o, nil
}

// close ends the output. What an escaped process prints later is lost.
func (o *output) close() {
	o.write.Close()
	o.sync()
	o.read.Close()
	<-o.ended
}

// sync returns when everything that was printed so far is in the log. It
// completes an incomplete line.
func (o *output) sync() {
	_ = o.read.SetReadDeadline(time.Unix(1, 0)) // wakes copy; a pipe takes deadlines
	select {
	case <-o.drained:
	case <-o.ended:
	}
}

func (o *output) copy() {
	defer close(o.ended)
	defer o.endLine()
	chunk := make([]byte, 64<<10)
	for {
		n, err := o.read.Read(chunk)
		o.add(chunk[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = o.read.SetReadDeadline(time.Time{})
			o.drain(chunk)
			o.endLine()
			o.drained <- struct{}{}
		} else if err != nil {
			return // all writers have exited, or the build has ended
		}
	}
}

// maxPipe is the capacity of a pipe, unless root enlarged it.
const maxPipe = 1 << 20

// drain reads what is in the pipe, without waiting for more.
func (o *output) drain(chunk []byte) {
	pipe, err := o.read.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = pipe.Read(func(fd uintptr) bool {
		for taken := 0; taken < maxPipe; { // a background process may print without end
			n, err := readDescriptor(fd, chunk)
			if err != nil || n == 0 {
				break
			}
			o.add(chunk[:n])
			taken += n
		}
		return true
	})
}

// add writes complete lines to the log and keeps the rest, unless that grows
// beyond an event.
func (o *output) add(data []byte) {
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		o.line = append(o.line, line...)
		if !whole {
			break
		}
		o.log.line(string(o.line))
		o.line, data = o.line[:0], rest
	}
	for len(o.line) > maxEvent {
		end := cut(string(o.line), maxEvent)
		o.log.write(string(o.line[:end]))
		o.line = append(o.line[:0], o.line[end:]...)
	}
}

func (o *output) endLine() {
	if len(o.line) > 0 {
		o.log.line(string(o.line))
		o.line = o.line[:0]
	}
}
