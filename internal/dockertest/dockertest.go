// Package dockertest gives tests a Docker daemon.
package dockertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Daemon returns where a Docker daemon answers: this machine's, or one that it
// starts, and that ends with the test. It fails the test if dockerd is missing.
func Daemon(t *testing.T) (host string) {
	t.Helper()
	if exec.Command("docker", "info").Run() == nil {
		return os.Getenv("DOCKER_HOST")
	}
	dir, err := os.MkdirTemp("", "docker") // its sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	host = "unix://" + dir + "/docker.sock"
	daemon := startDaemon(t, dir, host)
	for range 300 {
		cmd := exec.Command("docker", "info")
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
		if cmd.Run() == nil {
			return host
		}
		select {
		case <-daemon:
			t.Fatalf("dockerd ended: see its log:\n%s", tail(filepath.Join(dir, "log")))
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("dockerd does not answer:\n%s", tail(filepath.Join(dir, "log")))
	return ""
}

// startDaemon returns a channel that is closed when the daemon has ended.
func startDaemon(t *testing.T, dir, host string) <-chan struct{} {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("dockerd", "--host", host, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("no Docker daemon answers and none can be started: %v: apt-get install docker.io (make test does)", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	return ended
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
