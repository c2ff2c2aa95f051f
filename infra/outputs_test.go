package infra_test

import (
	"regexp"
	"testing"

	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/infra"
)

// registry is the host of the registry: ECR's own answer, up to the first slash.
const registry = `{"Fn::Select":[0,{"Fn::Split":["/",{"Fn::GetAtt":["CacheRepository","RepositoryUri"]}]}]}`

func TestOutputs(t *testing.T) {
	for name, test := range map[string]struct {
		props *infra.ImageBuilderProps
		want  map[string]string // besides those of every builder
	}{
		"default stack": {infra.DefaultProps(), map[string]string{"RepositoryNames": "app", "RepositoryPrefix": "flexbuild/"}},
		"no props":      {nil, map[string]string{"RepositoryPrefix": "stack-builder-403edd3e/"}},
		"names alone": {&infra.ImageBuilderProps{Repositories: jsii.Strings("bb", "team/a")},
			map[string]string{"RepositoryNames": "bb,team/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want["ContractVersion"] = "1"
			test.want["ProjectName"] = "${Project}"
			test.want["LogGroupName"] = "${LogGroup}"
			test.want["SourceBucketName"] = "${SourceBucket}"
			test.want["SourcePrefix"] = "sources/"
			test.want["Registry"] = registry
			test.want["CacheRepositoryName"] = "${CacheRepository}"
			got := map[string]string{}
			for key, output := range synthesize(t, test.props)["Outputs"].(map[string]any) {
				got[key] = text(output.(map[string]any)["Value"])
			}
			if diff := cmp.Diff(test.want, anonymous(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

var builtID = regexp.MustCompile(`"Builder(\w+?)[0-9A-F]{8}"`)

// anonymous takes the builder's id and the hash out of logical ids.
func anonymous[K comparable](texts map[K]string) map[K]string {
	for key, text := range texts {
		texts[key] = builtID.ReplaceAllString(text, `"$1"`)
	}
	return texts
}
