package builder

import (
	"fmt"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// configuration is buildkitd's: images of Docker Hub come from the mirrors that builds on AWS use by default, in the
// same order; the cache is kept small enough for a laptop; and no Dockerfile gets privileges, as no entitlement is
// granted. runc may be empty: then buildkitd looks for it.
func configuration(runc string) string {
	binary := ""
	if runc != "" {
		binary = fmt.Sprintf("  binary = %q\n", runc)
	}
	return `[worker.oci]
  enabled = true
` + binary + `  gc = true
  reservedSpace = "2GB"
  maxUsedSpace = "20GB"
  minFreeSpace = "5GB"

[worker.containerd]
  enabled = false

[registry."docker.io"]
  mirrors = ["` + strings.Join(buildspec.DockerHubMirrors(), `", "`) + `"]
`
}
