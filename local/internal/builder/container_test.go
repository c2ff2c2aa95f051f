package builder

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/codebuild-flex/flexbuild/internal/dockertest"
)

// TestDockerDaemonBuildsAndPushes runs where a Docker daemon answers or is
// installed. The old daemons among them push from their own image store, where
// a manifest has no digest before it is pushed: it must be in the metadata all
// the same.
func TestDockerDaemonBuildsAndPushes(t *testing.T) {
	if _, err := exec.LookPath("dockerd"); err != nil && !look(t.Context(), Auto).dockerBuilds() {
		t.Skip("no Docker daemon with buildx answers, and dockerd is not installed")
	}
	t.Setenv("DOCKER_HOST", dockertest.Daemon(t))
	b := New(Options{Dir: t.TempDir()})
	env, err := b.Environment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(env.Builder)
	defer b.Close()
	service, reg := newRegistry(t)
	work := t.TempDir()
	cmd := exec.Command("bash", "-c", `set -euo pipefail
printf %s "$PASSWORD" | docker login --username AWS --password-stdin "$REGISTRY"
docker buildx build --builder "$BUILDX_BUILDER" --push -t "$REGISTRY/app:1" --metadata-file metadata.json \
	--cache-to type=inline --progress plain --network none "$CONTEXT"`)
	cmd.Dir = work
	cmd.Env = append(env.Variables, "PATH="+env.PathPrefix+":"+os.Getenv("PATH"), "HOME="+t.TempDir(),
		"REGISTRY="+reg.host, "PASSWORD="+reg.password, "CONTEXT="+contextWithShell(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := service.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	if said := builtDigest(t, filepath.Join(work, "metadata.json")); *out.ImageDetails[0].ImageDigest != said {
		t.Errorf("the tag is on %s, and buildx said %s", *out.ImageDetails[0].ImageDigest, said)
	}
}

// builtDigest reads the digest of the image from the file of buildx's
// --metadata-file.
func builtDigest(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(text, &metadata); err != nil {
		t.Fatal(err)
	}
	return metadata.Digest
}
