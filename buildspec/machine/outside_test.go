package machine

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	outsideAddress     = "198.51.100.1" // of a network for documentation
	nowhere            = "203.0.113.1"  // of another one, to which packets get lost
	credentialsAddress = "169.254.170.2"
	metadataAddress    = "169.254.169.254" // which may have the credentials of the host's role
	credentialsPath    = "/v2/credentials/5a5c1e2f-0000-4000-8000-000000000000"
)

// outside is what machines reach over their network: a name server, the
// registries, what the AWS CLI asks, and the endpoint that has the credentials
// of the build's role. It outlives machines, so that a second machine finds
// what the first one pushed.
type outside struct {
	registries map[string]*registryServer

	// reachable are the only names that lead to a registry; nil is all. Nothing
	// answers behind other names, as in a VPC without a way out.
	reachable []string

	// awsTakes is how long a command of the AWS CLI takes.
	awsTakes time.Duration

	mu       sync.Mutex
	asked    map[string]bool    // the registries that were asked, and as whom
	failures map[string]failure // of operations of the AWS CLI
}

// connect gives the machine a network, at whose other end the test listens.
func (o *outside) connect(t testing.TB, m *machine) {
	t.Helper()
	pid, _ := namespaced(t, syscall.CLONE_NEWNET, "cat")
	ip(t, pid,
		"link set lo up",
		fmt.Sprintf("link add outside type veth peer name eth0 netns %d", m.pid),
		"addr add "+outsideAddress+"/24 dev outside",
		"addr add "+credentialsAddress+"/32 dev outside",
		"addr add "+metadataAddress+"/32 dev outside",
		"link set outside up",
		"route add blackhole "+nowhere)
	ip(t, m.pid,
		"link set lo up",
		"addr add 198.51.100.2/24 dev eth0",
		"link set eth0 up",
		"route add default via "+outsideAddress)
	inNetwork(t, pid, func() error { return o.listen(t) })
}

// listen serves all that is outside in the network of the calling thread.
func (o *outside) listen(t testing.TB) error {
	names, err := net.ListenPacket("udp", outsideAddress+":53")
	if err != nil {
		return err
	}
	t.Cleanup(func() { names.Close() })
	go o.serveNames(names)
	secure := func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{authority().registries}})
	}
	for address, serve := range map[string]func(net.Listener){
		outsideAddress + ":443":    func(l net.Listener) { serveHTTP(t, secure(l), o.serveRegistries) },
		credentialsAddress + ":80": func(l net.Listener) { serveHTTP(t, l, serveCredentials) },
		metadataAddress + ":80":    func(l net.Listener) { serveHTTP(t, l, serveCredentials) },
		awsAddress:                 func(l net.Listener) { go o.serveAWS(l) },
	} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		serve(l)
	}
	return nil
}

// ip runs commands of iproute2 in the network of a process.
func ip(t testing.TB, pid int, commands ...string) {
	t.Helper()
	cmd := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}

// inNetwork calls f on a thread that is in the network of a process. What f
// listens on stays in that network.
func inNetwork(t testing.TB, pid int, f func() error) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		failed <- func() error {
			network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err != nil {
				return err
			}
			defer network.Close()
			if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	must(t, <-failed)
}

func serveHTTP(t testing.TB, l net.Listener, h http.HandlerFunc) {
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { server.Close() })
	go server.Serve(l)
}

func (o *outside) record(request string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[request] = true
}

// wasAsked reports whether a request of this kind was recorded.
func (o *outside) wasAsked(request string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[request]
}

// serveCredentials answers as the agent of the build's host does: who knows the
// path is the build.
func serveCredentials(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != credentialsPath {
		http.Error(w, "no such credentials", http.StatusNotFound)
		return
	}
	io.WriteString(w, `{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2100-01-01T00:00:00Z"}`)
}
