package machine

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is the time after which a command is taken to hang. It is long
// because the machine that runs the tests may be busy.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv("FLEXBUILD_TEST_MACHINE") == "" {
		fmt.Println("not run: make test-machine runs these tests")
		return
	}
	if os.Getuid() != 0 {
		fmt.Println("a machine needs root for its namespaces: run make test-machine as root")
		os.Exit(1)
	}
	status := m.Run()
	removeControlGroups()
	os.Exit(status)
}

// removeControlGroups removes the empty control groups that Docker daemons
// leave behind. Those of another daemon's containers are not empty, so they
// stay.
func removeControlGroups() {
	for _, name := range []string{"docker/buildkit", "docker/buildx", "docker"} {
		for _, hierarchy := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			groups, _ := filepath.Glob(hierarchy + name)
			for _, group := range groups {
				os.Remove(group)
			}
		}
	}
}

// machine is a running machine with a Docker daemon.
type machine struct {
	pid  int    // of its first process
	root string // its root directory, as this machine sees it
}

// start starts a machine, to which world is the outside, and its Docker daemon.
// It first calls each of changes with the directory that holds the machine's
// own files.
func start(t testing.TB, world *outside, changes ...func(files string)) *machine {
	t.Helper()
	dir := workDirectory(t)
	files := filepath.Join(dir, "files")
	install(t, files)
	for _, change := range changes {
		change(files)
	}
	m := boot(t, dir)
	world.connect(t, m)
	if out, err := m.command(t, "/usr/local/bin/dockerd-entrypoint.sh").CombinedOutput(); err != nil {
		t.Fatalf("the machine's Docker daemon did not start: %v\n%s", err, out)
	}
	return m
}

// workDirectory makes the directory of a machine. It is not in /tmp, which may
// not be on a disk.
func workDirectory(t testing.TB) string {
	dir, err := os.MkdirTemp(cmp.Or(os.Getenv("FLEXBUILD_MACHINE_DIR"), "/var/tmp"), "flexbuild-machine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"root", "files", "work", "docker"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	return dir
}

// boot starts the machine's first process and waits until it has its root. The
// process ends when its standard input does, which happens even if the test is
// killed.
func boot(t testing.TB, dir string) *machine {
	t.Helper()
	pid, stdout := namespaced(t, syscall.CLONE_NEWNS|syscall.CLONE_NEWNET|syscall.CLONE_NEWPID|syscall.CLONE_NEWIPC|syscall.CLONE_NEWUTS,
		"bash", "testdata/machine.sh", dir)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the machine did not start (%v): its files cannot be on an overlay; FLEXBUILD_MACHINE_DIR names another directory than /var/tmp", err)
	}
	return &machine{pid, fmt.Sprintf("/proc/%d/root", pid)}
}

// namespaced starts a command in namespaces of its own until the test ends, and
// returns the id of its process.
func namespaced(t testing.TB, flags uintptr, name string, args ...string) (int, io.Reader) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatalf("a machine needs root and namespaces of its own: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	})
	return cmd.Process.Pid, stdout
}

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// command returns a command that runs on the machine as root, with the
// environment of a login.
func (m *machine) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	enter := []string{"--target", strconv.Itoa(m.pid), "--mount", "--net", "--pid", "--ipc", "--uts", "--", name}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + path, "HOME=/root"}
	return cmd
}

// run runs a command that must succeed, and returns what it printed.
func (m *machine) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := m.command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// cpu returns the processor time that the machine's processes have used, and
// that of their ended children. A command in progress does not count.
func (m *machine) cpu(t testing.TB) time.Duration {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	children, ticks := map[int][]int{}, map[int]int{}
	for _, name := range stats {
		stat, _ := os.ReadFile(name) // the process may have ended
		_, numbers, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent, unused, user, system, childrenUser, childrenSystem int
		if _, err := fmt.Sscan(numbers, &state, &parent, &unused, &unused, &unused, &unused, &unused, &unused, &unused, &unused, &unused,
			&user, &system, &childrenUser, &childrenSystem); err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		children[parent] = append(children[parent], pid)
		ticks[pid] = user + system + childrenUser + childrenSystem
	}
	all := 0
	for queue := []int{m.pid}; len(queue) > 0; queue = queue[1:] {
		all += ticks[queue[0]]
		queue = append(queue, children[queue[0]]...)
	}
	return time.Duration(all) * time.Second / 100
}

// write writes a file of the machine.
func (m *machine) write(t testing.TB, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(m.root+name), 0o755))
	must(t, os.WriteFile(m.root+name, []byte(content), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
