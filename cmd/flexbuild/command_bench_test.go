package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// BenchmarkCommand starts the command and programs to compare it with, and
// reports their sizes: an empty Go program, and one that only uses the runner.
// How much their packages allocate before main is the same on every machine.
func BenchmarkCommand(b *testing.B) {
	module, err := filepath.Abs(projectDir)
	if err != nil {
		b.Fatal(err)
	}
	for _, program := range []struct{ name, source string }{
		{"empty", "package main\n\nfunc main() {}\n"},
		{"runner only", `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/codebuild-flex/flexbuild/runner"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	client, err := runner.New(context.Background(), cfg, os.Args[1])
	fmt.Println(client, err)
}
`},
		{"flexbuild", ""},
	} {
		b.Run(program.name, func(b *testing.B) {
			binary, args := filepath.Join(b.TempDir(), "program"), []string{}
			source := "./cmd/flexbuild"
			if program.source != "" {
				source = filepath.Join(b.TempDir(), "main.go")
				if err := os.WriteFile(source, []byte(program.source), 0o644); err != nil {
					b.Fatal(err)
				}
			} else {
				args = append(args, "version")
			}
			build := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, source)
			build.Dir = module
			if output, err := build.CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, output)
			}
			info, err := os.Stat(binary)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if output, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, output)
				}
			}
			b.ReportMetric(float64(info.Size())/1e6, "MB")
			b.ReportMetric(initAllocations(b, binary, args), "init-allocs")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// initAllocations returns how often the packages of a program allocate memory
// before main is called.
func initAllocations(b *testing.B, binary string, args []string) (sum float64) {
	b.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	output, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	for _, found := range regexp.MustCompile(`(?m)^init .* (\d+) allocs$`).FindAllSubmatch(output, -1) {
		count, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += count
	}
	return sum
}
