package standin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// A machine is what a build sees: the stand-ins on its PATH, an empty home, and
// an engine that knows its role.
type machine struct {
	t      *testing.T
	host   string // of the engine
	home   string
	path   string
	region atomic.Value // string: of the last call's signature
}

const credentials = `{"AccessKeyId":"ASIAROLE","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}`

func newMachine(t *testing.T, tools Tools) *machine {
	t.Helper()
	m := &machine{t: t, home: t.TempDir()}
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	m.host = server.Listener.Addr().String()
	registry, handler := newRegistry(t, m.host)
	mux := http.NewServeMux()
	mux.Handle("/v2/", handler)
	mux.HandleFunc("/credentials", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "secret" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, credentials)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { m.getToken(registry, w, r) })
	server.Config.Handler = mux
	server.Start()

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bin")
	if err := Install(dir, exe, tools); err != nil {
		t.Fatal(err)
	}
	m.path = dir + ":/usr/bin:/bin"
	return m
}

func newRegistry(t *testing.T, host string) (*ecr.Service, http.Handler) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	users, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := ecr.New(ecr.Options{Store: db, Clock: clockwork.NewRealClock(), Dir: t.TempDir(), Host: host, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return registry, wire.New(wire.Config{Region: "us-east-1", IAM: users, Registry: registry})
}

// getToken answers ECR's GetAuthorizationToken to the role's key, and refuses
// any other.
func (m *machine) getToken(registry *ecr.Service, w http.ResponseWriter, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	if !strings.Contains(authorization, "Credential=ASIAROLE/") || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken") {
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"message":"User: x is not authorized"}`)
		return
	}
	m.region.Store(strings.Split(authorization, "/")[2])
	out, err := registry.GetAuthorizationToken(iam.WithPrincipal(context.Background(), iam.Root()), &sdk.GetAuthorizationTokenInput{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	data := out.AuthorizationData[0]
	json.NewEncoder(w).Encode(map[string]any{"authorizationData": []map[string]any{{"authorizationToken": aws.ToString(data.AuthorizationToken)}}})
}

// run runs a script as a build does and returns its output, both streams
// together, and its exit status.
func (m *machine) run(script string, env ...string) (string, int) {
	m.t.Helper()
	cmd := exec.Command("bash", "-c", "set -o pipefail\n"+script)
	cmd.Env = append([]string{
		"PATH=" + m.path,
		"HOME=" + m.home,
		"REGISTRY=" + m.host,
		"AWS_ENDPOINT_URL=http://" + m.host,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://" + m.host + "/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=secret",
	}, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

const loginLine = `aws ecr get-login-password --region us-east-1 | docker login --username AWS --password-stdin "$REGISTRY"`

func both() Tools { return Tools{Commands: []string{"aws", "docker"}} }

func TestLoginLineOfTheBuildspec(t *testing.T) {
	m := newMachine(t, both())
	out, status := m.run(loginLine)
	if out != "Login Succeeded\n" || status != 0 {
		t.Fatalf("exit %d: %s", status, out)
	}
	path := filepath.Join(m.home, ".docker", "config.json")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the login's file has mode %v", info.Mode())
	}
	text, _ := os.ReadFile(path)
	var config struct {
		Auths map[string]struct{ Auth string }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	login, _ := base64.StdEncoding.DecodeString(config.Auths[m.host].Auth)
	if !strings.HasPrefix(string(login), "AWS:") || len(login) < 50 {
		t.Errorf("config.json is %s", text)
	}
	if m.region.Load() != "us-east-1" {
		t.Errorf("signed for region %q", m.region.Load())
	}
}

func TestLoginKeepsTheOtherSettings(t *testing.T) {
	m := newMachine(t, both())
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(`{"auths":{"other":{"auth":"bWU6cGFzc3dvcmQ="}},"psFormat":"y"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, status := m.run(loginLine, "DOCKER_CONFIG="+dir); status != 0 {
		t.Fatalf("exit %d: %s", status, out)
	}
	text, _ := os.ReadFile(path)
	for _, want := range []string{`"other"`, `"psFormat": "y"`, m.host} {
		if !strings.Contains(string(text), want) {
			t.Errorf("config.json has no %s: %s", want, text)
		}
	}
}

func TestFailuresHaveTheRealCommandsStatusAndWords(t *testing.T) {
	m := newMachine(t, both())
	cases := []struct {
		script string
		env    string
		status int
		says   string
	}{
		{`aws ecr get-login-password --region us-east-1`, "AWS_CONTAINER_AUTHORIZATION_TOKEN=wrong", 255, "credentials"},
		{`AWS_SECRET_ACCESS_KEY=s aws ecr get-login-password --region us-east-1`, "AWS_ACCESS_KEY_ID=AKIAOTHER", 254, "An error occurred (AccessDeniedException) when calling the GetAuthorizationToken operation: User: x is not authorized"},
		{`aws ecr get-login-password`, "", 255, "You must specify a region"},
		{`aws s3 ls`, "", 64, `"aws s3 ls"`},
		{`aws ecr get-login-password --output text`, "", 64, `"--output"`},
		{`aws ecr get-login-password --region`, "", 64, "flag needs an argument: --region"},
		{`echo wrong | docker login --username AWS --password-stdin "$REGISTRY"`, "", 1, "failed with status: 400 Bad Request"},
		{`docker login --username AWS --password-stdin "$REGISTRY" </dev/null`, "", 1, "password is empty"},
		{`echo x | docker login --username AWS --password-stdin 127.0.0.1:1`, "", 1, "refused"},
		{`docker login --username AWS "$REGISTRY"`, "", 64, `"docker login"`},
		{`docker login -p x "$REGISTRY"`, "", 64, `"-p"`},
		{`docker info`, "", 1, "Is the docker daemon running?"},
		{`docker version`, "", 1, "Is the docker daemon running?"},
		{`docker run alpine`, "", 64, `"docker run alpine"`},
		{`docker`, "", 64, "stand-in"},
		{`docker buildx version`, "", 1, "no buildx"},
	}
	for _, c := range cases {
		env := []string{}
		if c.env != "" {
			env = append(env, c.env)
		}
		out, status := m.run(c.script, env...)
		if status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d, %q; want %d with %q", c.script, status, out, c.status, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(m.home, ".docker")); err == nil {
		t.Error("a login that failed was kept")
	}
}

// script writes an executable that prints its name and arguments, and exits
// with 7.
func script(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+name+" \"$@\"\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRealToolsAreUsed(t *testing.T) {
	m := newMachine(t, Tools{Commands: []string{"aws", "docker"}, Buildx: script(t, "buildx"), Docker: script(t, "docker"), AWS: script(t, "aws")})
	cases := map[string]string{
		`docker buildx build --push "a b" .`:        "buildx build --push a b .\n",
		`docker run --rm x`:                         "docker run --rm x\n",
		`aws s3 ls`:                                 "aws --endpoint-url http://" + m.host + " s3 ls\n",
		`aws s3 ls --endpoint-url http://elsewhere`: "aws s3 ls --endpoint-url http://elsewhere\n",
	}
	for call, want := range cases {
		if out, status := m.run(call); out != want || status != 7 {
			t.Errorf("%s: exit %d, %q; want 7, %q", call, status, out, want)
		}
	}
}

func TestSchemeOfRegistries(t *testing.T) {
	for registry, want := range map[string]string{
		"127.0.0.1:5000": "http",
		"localhost":      "http",
		"[::1]:5000":     "http",
		"000000000000.dkr.ecr.us-east-1.amazonaws.com": "https",
		"10.0.0.1:5000": "https",
	} {
		if got := scheme(registry); got != want {
			t.Errorf("%s: %s, want %s", registry, got, want)
		}
	}
}
