package cloudformation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cdkVersion is the CDK CLI that the project is pinned to.
const cdkVersion = "2.1148.1"

// A cdk is the real CDK CLI with a cloud assembly of one stack, pointed at the engine.
type cdk struct {
	path     string
	assembly string
	env      []string
}

// newCDK finds the CDK CLI on PATH or in FLEXBUILD_CDK; without the pinned one the test is skipped.
func newCDK(t *testing.T, w *world) *cdk {
	t.Helper()
	if testing.Short() {
		t.Skip("the CDK CLI takes a minute")
	}
	path, err := exec.LookPath("cdk")
	if given := os.Getenv("FLEXBUILD_CDK"); given != "" {
		path, err = given, nil
	}
	if err != nil {
		t.Skip("no CDK CLI: npm install aws-cdk@" + cdkVersion + " and name its bin/cdk in FLEXBUILD_CDK")
	}
	c := &cdk{path: path, assembly: t.TempDir(), env: w.environment(t)}
	if version, err := c.command("--version").CombinedOutput(); err != nil || !strings.HasPrefix(string(version), cdkVersion) {
		t.Skipf("the CDK CLI is %s, not %s (%v)", strings.TrimSpace(string(version)), cdkVersion, err)
	}
	return c
}

// environment points any AWS client at the engine, and nowhere else.
func (w *world) environment(t *testing.T) []string {
	t.Helper()
	home := t.TempDir()
	return append(os.Environ(),
		"HOME="+home, "AWS_CONFIG_FILE="+home+"/none", "AWS_SHARED_CREDENTIALS_FILE="+home+"/none",
		"CDK_DISABLE_CLI_TELEMETRY=1", "AWS_EC2_METADATA_DISABLED=true", "CI=1", "AWS_PAGER=",
		"AWS_ENDPOINT_URL="+w.url, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+w.keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+w.keys.SecretAccessKey)
}

func (c *cdk) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.path, args...)
	cmd.Env, cmd.Dir = c.env, c.assembly
	return cmd
}

// synth writes the cloud assembly that `cdk synth` would make of a stack with this template.
func (c *cdk) synth(t *testing.T, body string) {
	t.Helper()
	manifest, _ := json.Marshal(map[string]any{
		"version": "36.0.0",
		"artifacts": map[string]any{"flexbuild": map[string]any{
			"type":        "aws:cloudformation:stack",
			"environment": "aws://unknown-account/unknown-region",
			"properties":  map[string]any{"templateFile": "flexbuild.template.json"},
			"displayName": "flexbuild",
		}},
	})
	must(t, os.WriteFile(filepath.Join(c.assembly, "manifest.json"), manifest, 0o600))
	must(t, os.WriteFile(filepath.Join(c.assembly, "flexbuild.template.json"), []byte(body), 0o600))
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// run runs the CLI and returns what it printed.
func (c *cdk) run(t *testing.T, wantSuccess bool, args ...string) string {
	t.Helper()
	args = append(args, "--app", c.assembly, "--no-notices", "--no-version-reporting")
	out, err := c.command(args...).CombinedOutput()
	text := colour.ReplaceAllString(string(out), "")
	if (err == nil) != wantSuccess {
		t.Fatalf("cdk %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	t.Logf("cdk %s\n%s", args[0], text)
	return text
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
}

func TestTheCDKDeploysDiffsAndDestroys(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	c := newCDK(t, w)
	body := defaultTemplate(t)
	c.synth(t, body)
	wantText(t, c.run(t, true, "diff"), "[+] AWS::CodeBuild::Project")
	wantText(t, c.run(t, true, "deploy", "--require-approval", "never"),
		"CREATE_COMPLETE", "AWS::CodeBuild::Project", "✅  flexbuild", "flexbuild.Registry = 127.0.0.1:5000")
	wantText(t, c.run(t, true, "deploy", "--require-approval", "never"), "(no changes)")
	wantText(t, c.run(t, true, "diff"), "There were no differences")

	changed := strings.Replace(body, `"TimeoutInMinutes": 60`, `"TimeoutInMinutes": 90`, 1)
	c.synth(t, changed)
	wantText(t, c.run(t, true, "diff"), "[~] AWS::CodeBuild::Project", "TimeoutInMinutes", "60", "90")
	wantText(t, c.run(t, true, "deploy", "--require-approval", "never"), "UPDATE_COMPLETE", "✅  flexbuild")
	if got := *w.project(t, "flexbuild").TimeoutInMinutes; got != 90 {
		t.Errorf("the timeout is %d", got)
	}
	c.synth(t, strings.Replace(changed, `"TimeoutInMinutes": 90`, `"TimeoutInMinutes": 1`, 1))
	wantText(t, c.run(t, false, "deploy", "--require-approval", "never"), "UPDATE_ROLLBACK_IN_PROG", "Failed resources", "timeoutInMinutes")
	c.synth(t, strings.Replace(changed, "AWS::CodeBuild::Project", "AWS::CodeBuild::Fleet", 1))
	wantText(t, c.run(t, false, "deploy", "--require-approval", "never"), "AWS::CodeBuild::Fleet", "does not know this resource type")

	c.synth(t, strings.Replace(changed, `"TimeoutInMinutes": 90`, `"TimeoutInMinutes": 30`, 1))
	c.run(t, true, "deploy", "--require-approval", "never", "--method", "direct")
	if got := *w.project(t, "flexbuild").TimeoutInMinutes; got != 30 {
		t.Errorf("the timeout is %d", got)
	}
	wantText(t, c.run(t, true, "destroy", "--force"), "✅  flexbuild: destroyed")
	if _, err := w.repositories.Repository("app"); err != nil {
		t.Errorf("the repository was not retained: %v", err)
	}
}
