package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// loginTimeout is the time limit of trying a login at the registry.
const loginTimeout = 30 * time.Second

// maxPassword is the maximum length of a password in bytes. ECR's have about
// 2,000.
const maxPassword = 64 << 10

type login struct{ registry, user, password string }

func runLogin(ctx context.Context, in invocation) int {
	l, err := parseLogin(in.args[1:])
	if err != nil {
		return in.fail(exitRefused, "docker: %v", err)
	}
	if l.password, err = readPassword(in.stdin); err != nil {
		return in.fail(1, "Error: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	served := in.registry.served(l.registry)
	if err := l.try(ctx, served); err != nil {
		return in.fail(1, "Error response from daemon: %v", err)
	}
	// BuildKit pulls from the place where the registry is served.
	if err := l.save(dockerConfig(in.getenv), l.registry, served); err != nil {
		return in.fail(1, "Error saving credentials: %v", err)
	}
	fmt.Fprintln(in.stdout, "Login Succeeded")
	return 0
}

// parseLogin parses the only form that the stand-in supports: --username NAME
// --password-stdin REGISTRY.
func parseLogin(args []string) (login, error) {
	var l login
	var fromStdin bool
	words, err := parseFlags(args, map[string]*string{"--username": &l.user, "-u": &l.user}, map[string]*bool{"--password-stdin": &fromStdin})
	if err != nil {
		return l, err
	}
	if !fromStdin || l.user == "" || len(words) != 1 || words[0] == "" {
		return l, notDone("docker login") // with other flags or words
	}
	l.registry = words[0]
	return l, nil
}

func readPassword(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPassword))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" {
		return "", errors.New("password is empty")
	}
	return password, nil
}

// try tries the login at the host that serves the registry.
func (l login) try(ctx context.Context, served string) error {
	url := scheme(served) + "://" + served + "/v2/"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(l.user, l.password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("login attempt to %s failed with status: %s", url, resp.Status)
	}
	return nil
}

// scheme returns http for a registry on this machine and https for others, as
// docker and BuildKit do.
func scheme(registry string) string {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = registry
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return "http"
	}
	return "https"
}
