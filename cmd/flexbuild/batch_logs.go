package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/codebuild-flex/flexbuild/runner"
)

// batchLogs writes the logs of a batch's builds, each to a file of its own.
type batchLogs struct {
	dir string

	mu    sync.Mutex
	files map[string]*os.File // by key; closed at the end of the log
	err   error               // the first error
}

// newBatchLogs creates the directory and checks that files can be written
// there. Without a directory, batchLogs writes nothing.
func newBatchLogs(dir string, keys []string) (*batchLogs, error) {
	logs := &batchLogs{dir: dir, files: map[string]*os.File{}}
	if dir == "" {
		return logs, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, usagef("--logs: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".flexbuild-*")
	if err != nil {
		return nil, usagef("--logs: %w", err)
	}
	probe.Close()
	os.Remove(probe.Name())
	for _, key := range keys {
		if n := len(fileOf(key)); n > 255 {
			return nil, usagef("--logs: the key %q makes a file name of %d characters, of which most file systems take 255: give a shorter key", key, n)
		}
	}
	return logs, nil
}

// fileOf returns the name of a key's file. Whatever the key contains, the file
// lies in the directory, and two keys have two files.
func fileOf(key string) string { return url.QueryEscape(key) + ".log" }

func (l *batchLogs) write(key string, e runner.Event) {
	if l.dir == "" || e.Type != runner.EventLog && e.Type != runner.EventLogEnd {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writeTo(key, e); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *batchLogs) writeTo(key string, e runner.Event) error {
	file := l.files[key]
	if e.Type == runner.EventLogEnd {
		delete(l.files, key)
		if !e.LogsComplete && file != nil {
			fmt.Fprintln(file, "flexbuild: note: the log above may be incomplete:", e.Note)
		}
		return closeFile(file)
	}
	if !e.Line.Own() {
		return nil
	}
	if file == nil {
		var err error
		if file, err = os.Create(filepath.Join(l.dir, fileOf(key))); err != nil {
			return err
		}
		l.files[key] = file
	}
	_, err := fmt.Fprintln(file, e.Line.Text)
	return err
}

func closeFile(file *os.File) error {
	if file == nil {
		return nil
	}
	return file.Close()
}

func (l *batchLogs) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.err
	for _, file := range l.files {
		err = errors.Join(err, file.Close())
	}
	l.files = nil
	return err
}
