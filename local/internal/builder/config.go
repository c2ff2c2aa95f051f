package builder

import (
	"fmt"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// configuration returns buildkitd's configuration. Images of Docker Hub come
// from the mirrors that builds on AWS use by default, in the same order. The
// cache is small enough for a laptop. No Dockerfile gets privileges, because no
// entitlement is granted. If runc is empty, buildkitd looks for it.
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
