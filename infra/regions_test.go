package infra

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The list is what the SDK in go.mod says: regions with an endpoint of ECR and
// none of CodeBuild.
func TestRegionsWithoutCodeBuildAreTheSDKs(t *testing.T) {
	builds := regionsOf(t, "codebuild")
	want := slices.DeleteFunc(regionsOf(t, "ecr"), func(region string) bool { return slices.Contains(builds, region) })
	slices.Sort(want)
	if !slices.Equal(withoutCodeBuild, want) {
		t.Errorf("withoutCodeBuild is %q, and the SDK has %q", withoutCodeBuild, want)
	}
}

// regionsOf returns those that the SDK has an endpoint of a service in.
func regionsOf(t *testing.T, service string) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+service).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal/endpoints/endpoints.go"))
	if err != nil {
		t.Fatal(err)
	}
	var regions []string
	for _, found := range regexp.MustCompile(`EndpointKey\{\s*Region: +"([a-z0-9-]+)"`).FindAllStringSubmatch(string(text), -1) {
		if region := found[1]; !strings.Contains(region, "fips") && !strings.HasPrefix(region, "dkr-") && !slices.Contains(regions, region) {
			regions = append(regions, region)
		}
	}
	if !slices.Contains(regions, "eu-central-1") {
		t.Fatalf("the SDK's regions of %s are %q", service, regions)
	}
	return regions
}
