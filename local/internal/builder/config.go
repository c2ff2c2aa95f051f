package builder

import (
	"fmt"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/internal/standin"
)

// configuration returns buildkitd's configuration. Images of Docker Hub come
// from the mirrors that builds on AWS use by default, in the same order, and
// those of the account's registry from where the engine serves it. The cache is
// small enough for a laptop. No Dockerfile gets privileges, because no
// entitlement is granted. If runc is empty, buildkitd looks for it.
func configuration(runc string, registry standin.Registry) string {
	binary := ""
	if runc != "" {
		binary = fmt.Sprintf("  binary = %q\n", runc)
	}
	served := ""
	if registry.Host != "" {
		served = fmt.Sprintf("\n[registry.%q]\n  mirrors = [%q]\n", registry.Host, registry.Address)
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
` + served
}
