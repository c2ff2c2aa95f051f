package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestContractPage runs the commands of docs/contract.md as they stand there,
// with the AWS CLI and nothing of flexbuild's. Only the URLs of repositories
// are replaced. Each way to start a build is followed by the page's own lines
// that wait for its end and read what came out.
func TestContractPage(t *testing.T) {
	t.Parallel()
	e := engine(t)
	server, _ := serveRepositories(t)
	page, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"https://github.com/org/repo.git", server+"/test-ecr2/.git",
		"https://git.example.com/org/repo.git", server+"/test-ecr2/.git",
	).Replace(string(page))
	if !knowsIfNoneMatch(t) {
		t.Log("the AWS CLI here is too old for --if-none-match: the page's upload is tried without it")
		text = strings.ReplaceAll(text, " --if-none-match '*'", "")
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) != 6 {
		t.Fatalf("the page has %d blocks of commands, want 6: outputs, three starts, the wait, the log", len(blocks))
	}
	outputs, starts, wait, log := blocks[0][1], blocks[1:4], blocks[4][1], blocks[5][1]
	for _, start := range starts {
		script := strings.Join([]string{"set -eu", outputs, start[1], wait, log}, "\n")
		t.Run(regexp.MustCompile(`value=(app:\d)`).FindStringSubmatch(start[1])[1], func(t *testing.T) {
			t.Parallel()
			got := runAsUser(t, script, append(e.Endpoint().Env(), "PATH="+installAWSCLI(t)+":"+os.Getenv("PATH")))
			for _, want := range []string{
				`(?m)^SUCCEEDED$`,
				`(?m)^127\.0\.0\.1:\d+/app@sha256:[0-9a-f]{64}$`,
				`(?m)^\[flexbuild flexbuild:[0-9a-f-]+\] end$`,
			} {
				if !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("the output has no %s:\n%s", want, got)
				}
			}
		})
	}
}

// runAsUser runs the script in a new directory that has path/to/app.
func runAsUser(t *testing.T, script string, env []string) string {
	t.Helper()
	dir := t.TempDir()
	app := filepath.Join(dir, "path/to/app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "Dockerfile"), []byte("FROM scratch\nCOPY . /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// knowsIfNoneMatch reports whether the AWS CLI is new enough for conditional
// uploads. The engine's administrator, unlike a caller with GrantStart, may
// upload without a condition.
func knowsIfNoneMatch(t *testing.T) bool {
	t.Helper()
	help, err := exec.Command("aws", "s3api", "put-object", "--if-none-match", "*", "--bucket", "b", "--key", "k", "--no-sign-request",
		"--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1", "--cli-connect-timeout", "1").CombinedOutput()
	return err != nil && !strings.Contains(string(help), "Unknown options")
}
