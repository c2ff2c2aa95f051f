package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// Ctrl-C ends the command and not the deployment, which the same command then
// waits for.
func TestUpInterruptedSaysHowToGoOn(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	pointAt(t, localtest.New(t), func(request string) {
		if strings.Contains(request, "Action=ExecuteChangeSet") {
			interrupt()
		}
	})
	status, stdout, stderr := runWith(ctx, "up", "--stack", "images", "--parameter", "ProjectName=images")
	want := "interrupted: the deployment goes on without this program; to wait for it:\n  flexbuild up --stack 'images'\n"
	if status != exitInterrupted || stdout != "" || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", status, stdout, stderr)
	}
	status, stdout, stderr = runWith(t.Context(), "up", "--stack", "images")
	if status != 0 || !strings.Contains(stdout, "ProjectName\timages\n") || !strings.Contains(stderr, "=> no changes\n") {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", status, stdout, stderr)
	}
}

// The engine's command names its template and its settings as well.
func TestLocalDeployInterruptedSaysHowToGoOn(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	engine, template := localtest.New(t), t.TempDir()+"/a stack.json"
	writeFile(t, template, `{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "a"}}}}`)
	pointAt(t, engine, func(request string) {
		if strings.Contains(request, "Action=ExecuteChangeSet") {
			interrupt()
		}
	})
	status, _, stderr := runWith(ctx, "local", "deploy", template, "--state-dir", engine.Dir())
	want := fmt.Sprintf("to wait for it:\n  flexbuild local deploy --state-dir '%s' '%s'\n", engine.Dir(), template)
	if status != exitInterrupted || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d, stderr:\n%s", status, stderr)
	}
}

// pointAt makes the AWS settings, and the file in which the engine says where
// it is, lead to an engine through a server that shows each request once it is
// answered.
func pointAt(t *testing.T, engine *localtest.Engine, answered func(request string)) {
	t.Helper()
	target, err := url.Parse(engine.Endpoint().URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
		answered(string(body))
	}))
	t.Cleanup(server.Close)
	file := engine.Dir() + "/endpoint.json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, strings.ReplaceAll(string(text), engine.Endpoint().URL, server.URL))
	for _, variable := range engine.Endpoint().Env() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, strings.ReplaceAll(value, engine.Endpoint().URL, server.URL))
	}
}

// runWith is run with the output in texts.
func runWith(parent context.Context, args ...string) (status int, stdout, stderr string) {
	ctx, interruption := untilInterrupted(parent)
	defer interruption.stop()
	var out, err bytes.Buffer
	root := newRoot(interruption)
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&err)
	status = exitCode(&err, root.ExecuteContext(ctx))
	return status, out.String(), err.String()
}
