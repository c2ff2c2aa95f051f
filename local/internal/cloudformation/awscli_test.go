package cloudformation

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// aws runs the machine's AWS CLI against the engine; without one the test is skipped.
func (w *world) aws(t *testing.T) func(wantSuccess bool, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the AWS CLI's waiters take half a minute")
	}
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("no AWS CLI")
	}
	env := w.environment(t)
	return func(wantSuccess bool, args ...string) string {
		t.Helper()
		// Debian's AWS CLI does not know AWS_ENDPOINT_URL.
		cmd := exec.Command(path, append([]string{"--endpoint-url", w.url, "cloudformation"}, args...)...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if (err == nil) != wantSuccess {
			t.Fatalf("aws cloudformation %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

func TestTheAWSCLIDeploysAndWaits(t *testing.T) {
	t.Parallel() // its waiters look every 30 seconds
	w := startWorld(t)
	aws := w.aws(t)
	file := filepath.Join(t.TempDir(), "role.yaml")
	must(t, os.WriteFile(file, []byte(roleTemplate), 0o600))
	deploy := []string{"deploy", "--stack-name", "role", "--template-file", file, "--no-fail-on-empty-changeset", "--capabilities", "CAPABILITY_NAMED_IAM"}

	wantText(t, aws(false, deploy[:6]...), "InsufficientCapabilitiesException")
	wantText(t, aws(true, deploy...), "Successfully created/updated stack - role")
	wantText(t, aws(true, deploy...), "No changes to deploy. Stack role is up to date")
	w.wantPolicies(t, "inline", "attached")
	wantText(t, aws(true, "describe-stacks", "--stack-name", "role", "--query", "Stacks[0].StackStatus"), "CREATE_COMPLETE")
	wantText(t, aws(true, "describe-stack-events", "--stack-name", "role"), "AWS::IAM::Policy")
	wantText(t, aws(true, "get-template", "--stack-name", "role"), "AssumeRolePolicyDocument")
	wantText(t, aws(true, "validate-template", "--template-body", "file://"+file), "CAPABILITY_NAMED_IAM")
	aws(true, "delete-stack", "--stack-name", "role")
	aws(true, "wait", "stack-delete-complete", "--stack-name", "role")
	wantText(t, aws(false, "describe-stacks", "--stack-name", "role"), "Stack with id role does not exist")
}
