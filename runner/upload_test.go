package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The records of the tests' directories do not belong into the user's cache.
func TestMain(m *testing.M) {
	cache, err := os.MkdirTemp("", "flexbuild-cache-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", cache)
	status := m.Run()
	os.RemoveAll(cache)
	os.Exit(status)
}

// uploadOf builds from the directory, and returns how many bytes were sent and
// how many the process read.
func uploadOf(t *testing.T, s *script, source Dir) (sent, read int64) {
	t.Helper()
	before := bytesRead(t)
	_, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}, WithEvents(func(e Event) {
		if e.Type == EventUploaded {
			sent = e.Bytes
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return sent, bytesRead(t) - before
}

// bytesRead returns how many bytes this process has read with system calls.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts what a process reads")
	}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

const contentSize = 8 << 20

// testDirOf returns a directory with much to read, and little to send.
func testDirOf(t *testing.T, letter string) Dir {
	t.Helper()
	source := testDir(t)
	for i := range 8 {
		writeLetters(t, source, fmt.Sprint(i), letter)
	}
	return source
}

// writeLetters always gives the file the same size and time.
func writeLetters(t *testing.T, source Dir, name, letter string) {
	t.Helper()
	name = filepath.Join(string(source), name)
	if err := os.WriteFile(name, []byte(strings.Repeat(letter, contentSize/8)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

// useCache gives the test a cache directory of its own.
func useCache(t *testing.T) (records string) {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	return filepath.Join(cache, "flexbuild", "sources")
}

func TestFilesAreReadOnceForAnUpload(t *testing.T) {
	useCache(t)
	source, s := testDirOf(t, "a"), newScript().starts(testID)
	for _, step := range []string{"first", "changed"} {
		if err := os.WriteFile(filepath.Join(string(source), step), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if sent, read := uploadOf(t, s, source); sent == 0 || read < contentSize || read > contentSize*3/2 {
			t.Errorf("%s: %d bytes sent, %d read of %d", step, sent, read, contentSize)
		}
	}
}

// Packing needs a temporary file. An unchanged directory is found even if no
// file can be made.
func TestUnchangedDirectoryIsReadAndNotPacked(t *testing.T) {
	useCache(t)
	source, s := testDirOf(t, "a"), newScript().starts(testID)
	uploadOf(t, s, source)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if sent, read := uploadOf(t, s, source); sent != 0 || read < contentSize || read > contentSize*3/2 {
		t.Errorf("%d bytes sent, %d read of %d", sent, read, contentSize)
	}
}

// A record only says that a directory looks the same, so its contents are
// hashed in any case.
func TestContentThatChangesWithoutATraceIsUploaded(t *testing.T) {
	useCache(t)
	source, s := testDirOf(t, "a"), newScript().starts(testID)
	uploadOf(t, s, source)
	writeLetters(t, source, "0", "b")
	if sent, _ := uploadOf(t, s, source); sent == 0 || len(s.objects) != 2 {
		t.Errorf("%d bytes sent, %d uploads", sent, len(s.objects))
	}
}

func TestEqualDirectoryIsNotSentWithoutARecord(t *testing.T) {
	records := useCache(t)
	source, s := testDirOf(t, "a"), newScript().starts(testID)
	uploadOf(t, s, source)
	for _, broken := range []struct {
		kind string
		do   func() error
	}{
		{"damaged", func() error { return damage(records) }},
		{"removed", func() error { return os.RemoveAll(records) }},
		{"no directory", func() error { return errors.Join(os.RemoveAll(records), os.WriteFile(records, nil, 0o600)) }},
		{"no cache", func() error { return os.Unsetenv("XDG_CACHE_HOME") }},
	} {
		if broken.kind == "no cache" {
			t.Setenv("HOME", "")
		}
		if err := broken.do(); err != nil {
			t.Fatal(err)
		}
		if sent, _ := uploadOf(t, s, source); sent != 0 || len(s.objects) != 1 {
			t.Errorf("%s: %d bytes sent, %d uploads", broken.kind, sent, len(s.objects))
		}
	}
}

func damage(records string) error {
	files, err := os.ReadDir(records)
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%d records", len(files))
	}
	for _, file := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(records, file.Name()), []byte("damaged"), 0o600))
	}
	return err
}

// An upload has as long as it needs, while it moves.
func TestUploadThatStandsStillFails(t *testing.T) {
	useCache(t)
	source := testDirOf(t, "a")
	for name, stop := range map[string]int{"slow": 0, "stands still after a while": 5, "stands still at once": 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript().starts(testID)
			s.put = func(ctx context.Context, body io.ReadSeeker) error {
				for reads := 1; reads != stop; reads++ {
					if _, err := io.CopyN(io.Discard, body, 1000); err != nil {
						return nil
					}
					time.Sleep(stallTimeout - progressInterval)
				}
				<-ctx.Done()
				return ctx.Err()
			}
			_, err := s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}})
			if stop == 0 && err != nil || stop > 0 && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no byte could be sent for 1m0s")) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Of whatever does not answer, the caller hears in time.
func TestEveryCallHasATimeLimit(t *testing.T) {
	source := testDir(t)
	for name, call := range map[string]func(ctx context.Context, s *script) error{
		"ListObjectsV2": func(ctx context.Context, s *script) error {
			_, err := s.client().Start(ctx, Request{Source: source, Tags: []string{"app"}})
			return err
		},
		"ListBuildsForProject": func(ctx context.Context, s *script) (err error) {
			for _, err = range s.client().List(ctx) {
			}
			return err
		},
		"StopBuild": func(ctx context.Context, s *script) error {
			return s.client().Build(testID).Stop(ctx)
		},
		"DescribeStacks": func(ctx context.Context, s *script) error {
			_, err := readOutputs(ctx, s.client().calls, s, "us-east-1", "flexbuild")
			return err
		},
		"GetParameter": func(ctx context.Context, s *script) error {
			_, err := readParameter(ctx, s.client().calls, s, "us-east-1", "/flexbuild")
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			s.silent = true
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := call(ctx, s); !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || time.Since(s.begin) > stopPatience+2*callTimeout {
				t.Errorf("%s: after %v: %v", name, time.Since(s.begin), err)
			}
		})
	}
}

func TestALongLookForAnUploadIsReported(t *testing.T) {
	source := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.silent = true
		var notes int
		s.client().Start(t.Context(), Request{Source: source, Tags: []string{"app"}}, WithEvents(func(e Event) {
			if e.Type == EventNote && strings.Contains(e.Note, "looking for the source in s3://") {
				notes++
			}
		}))
		if least := int(time.Since(s.begin)/progressInterval) - 1; notes < least || least < 1 {
			t.Errorf("%d notes in %v", notes, time.Since(s.begin))
		}
	})
}

// Whoever may upload can put anything under a digest, but not under the name
// that the day's upload has: that is there already.
func TestUploadWithAStrangeNameIsNotTaken(t *testing.T) {
	useCache(t)
	source, s := testDirOf(t, "a"), newScript().starts(testID)
	uploadOf(t, s, source)
	var good string
	for key := range s.objects {
		good = key
	}
	delete(s.objects, good)
	for _, name := range []string{"99999999.zip", "00000101.zip", "x.zip"} {
		s.objects[filepath.Join(filepath.Dir(good), name)] = time.Now()
	}
	if sent, _ := uploadOf(t, s, source); sent == 0 || s.objects[good].IsZero() {
		t.Errorf("%d bytes sent, objects %v", sent, s.objects)
	}
}
