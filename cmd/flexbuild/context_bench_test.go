package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// BenchmarkContext compares the command's upload of a directory with `zip -qr`
// and PutObject, to the same S3 on loopback, one after the other (make
// bench-context):
//
//	zip-s      seconds of zip -qr and PutObject
//	first-s    seconds of flexbuild build --detach of the directory, from its start to its end
//	times      zip-s / first-s
//	cpu-times  the same of the processors' time, which varies less on a busy machine
//	again-s    seconds of the same command again, which must upload nothing
//	peak-MB    memory of the command, at most
//
// Builds are simulated, so that what is measured is the source's way alone.
func BenchmarkContext(b *testing.B) {
	if _, err := exec.LookPath("zip"); err != nil {
		b.Fatal("zip is needed: apt-get install zip")
	}
	e := localtest.New(b, localtest.SimulateBuilds(nil))
	e.Deploy(b, buildspec.StackName, flexbuild.Template)
	b.Setenv("XDG_CACHE_HOME", b.TempDir())
	text := sourceText(b)
	for name, fill := range map[string]func(b *testing.B, dir string, text []byte){
		"1GB-in-50000-files": fillMany, "2GB-in-one-file": fillOne,
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			fill(b, dir, text)
			check(b, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644))
			for b.Loop() {
				zip := zipAndPut(b, e, dir)
				check(b, os.WriteFile(filepath.Join(dir, "changed"), []byte(time.Now().String()), 0o644))
				first := uploadByCommand(b, e, dir)
				again := uploadByCommand(b, e, dir)
				b.ReportMetric(zip.wall.Seconds(), "zip-s")
				b.ReportMetric(first.wall.Seconds(), "first-s")
				b.ReportMetric(zip.wall.Seconds()/first.wall.Seconds(), "times")
				b.ReportMetric(first.cpu.Seconds(), "first-cpu-s")
				b.ReportMetric(zip.cpu.Seconds()/first.cpu.Seconds(), "cpu-times")
				b.ReportMetric(again.wall.Seconds(), "again-s")
				b.ReportMetric(again.cpu.Seconds(), "again-cpu-s")
				b.ReportMetric(max(first.peak, again.peak)/1e6, "peak-MB")
				if !strings.Contains(again.says, "source unchanged") || strings.Contains(first.says, "source unchanged") {
					b.Errorf("the first run says %q, the second %q", first.says, again.says)
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cost is what a command took.
type cost struct {
	wall, cpu time.Duration
	peak      float64 // bytes of memory
	says      string
}

func measure(b *testing.B, cmd *exec.Cmd) cost {
	b.Helper()
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	begin := time.Now()
	check(b, cmd.Start())
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	peak := 0.0
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%v: %v\n%s", cmd.Args, err, text.Bytes())
			}
			state := cmd.ProcessState
			return cost{time.Since(begin), state.UserTime() + state.SystemTime(), peak, text.String()}
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, peakMemory(cmd.Process.Pid))
		}
	}
}

// peakMemory returns the most memory that a running process has had, in bytes.
// What wait4 says of an ended one counts that of the process which started it
// too.
func peakMemory(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib)
	return kib * 1024
}

func uploadByCommand(b *testing.B, e *localtest.Engine, dir string) cost {
	cmd := exec.Command("flexbuild", "build", "--detach", dir, "-t", "app:bench")
	cmd.Env = append(os.Environ(), e.Endpoint().Env()...)
	return measure(b, cmd)
}

func zipAndPut(b *testing.B, e *localtest.Engine, dir string) cost {
	archive := filepath.Join(b.TempDir(), "source.zip")
	cmd := exec.Command("zip", "-qr", archive, ".")
	cmd.Dir = dir
	total := measure(b, cmd)
	before, begin := ownCPU(b), time.Now()
	putFile(b, e, archive)
	total.wall += time.Since(begin)
	total.cpu += ownCPU(b) - before // the engine's part too: to zip's disadvantage
	return total
}

func ownCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func putFile(b *testing.B, e *localtest.Engine, name string) {
	file, err := os.Open(name)
	check(b, err)
	defer file.Close()
	client := s3.NewFromConfig(e.Config())
	buckets, err := client.ListBuckets(b.Context(), &s3.ListBucketsInput{})
	check(b, err)
	_, err = client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: buckets.Buckets[0].Name, Key: aws.String("bench.zip"), Body: file})
	check(b, err)
}

// sourceText returns compressible text that every machine with Go has: Go's own
// source.
func sourceText(b *testing.B) []byte {
	var text bytes.Buffer
	root, err := exec.Command("go", "env", "GOROOT").Output()
	check(b, err)
	check(b, filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(name) != ".go" || text.Len() > 64<<20 {
			return err
		}
		file, err := os.ReadFile(name)
		text.Write(file)
		return err
	}))
	return text.Bytes()
}

func fillMany(b *testing.B, dir string, text []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	const files, mean = 50_000, 1_000_000_000 / 50_000
	for i := range files {
		folder := filepath.Join(dir, fmt.Sprintf("package%d", i/250), fmt.Sprintf("part%d", i/25%10))
		check(b, os.MkdirAll(folder, 0o755))
		size := random.IntN(2 * mean)
		from := random.IntN(len(text) - size)
		check(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%d.go", i)), text[from:from+size], 0o644))
	}
}

func fillOne(b *testing.B, dir string, text []byte) {
	file, err := os.Create(filepath.Join(dir, "large.txt"))
	check(b, err)
	defer file.Close()
	for left := 2_000_000_000; left > 0; {
		n, err := file.Write(text[:min(left, len(text))])
		check(b, err)
		left -= n
	}
}
