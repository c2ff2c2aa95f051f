package builder

import (
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// ECR Public refuses what it does not have at once, so it comes first; the
// other mirror has everything.
func TestBuildkitdHasTheMirrorsOfDockerHubInOrder(t *testing.T) {
	want := "[registry.\"docker.io\"]\n  mirrors = [\"public.ecr.aws/docker\", \"mirror.gcr.io\"]\n"
	for _, runc := range []string{"", "/usr/sbin/runc"} {
		if got := configuration(runc, standin.Registry{}); strings.Count(got, want) != 1 || strings.Count(got, "mirrors") != 1 {
			t.Errorf("with runc %q the configuration is\n%s", runc, got)
		}
	}
}
