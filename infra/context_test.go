package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/infra"
)

func contextOf(values map[string]any) infra.Context {
	return func(key string) any { return values[key] }
}

func TestContextChangesTheDefaultStack(t *testing.T) {
	for name, test := range map[string]struct {
		context map[string]any
		want    props
	}{
		"nothing": {nil, props{
			ProjectName: jsii.String("flexbuild"), Repositories: jsii.Strings("app"), RepositoryPrefix: jsii.String("flexbuild/"),
			ComputeType: awscodebuild.ComputeType_SMALL,
		}},
		"command line": {map[string]any{
			"project": "images", "repositories": "api,web", "prefix": "team/", "immutable": "true",
			"size": "2xlarge", "timeout": "90", "concurrency": "4", "untagged": "30",
		}, props{
			ProjectName: jsii.String("images"), Repositories: jsii.Strings("api", "web"), RepositoryPrefix: jsii.String("team/"),
			ImageTagMutability: awsecr.TagMutability_IMMUTABLE, ComputeType: awscodebuild.ComputeType_X2_LARGE,
			Timeout: minutes(90), ConcurrentBuildLimit: jsii.Number(4), UntaggedImageExpiry: days(30),
		}},
		"another stack": {map[string]any{"stack": "Images"}, props{
			ProjectName: jsii.String("Images"), Repositories: jsii.Strings("images/app"), RepositoryPrefix: jsii.String("images/"),
			ComputeType: awscodebuild.ComputeType_SMALL,
		}},
		"another project": {map[string]any{"stack": "images", "project": "team"}, props{
			ProjectName: jsii.String("team"), Repositories: jsii.Strings("team/app"), RepositoryPrefix: jsii.String("team/"),
			ComputeType: awscodebuild.ComputeType_SMALL,
		}},
		"mirrors": {map[string]any{"mirrors": "mirror.test/hub,mirror.gcr.io"}, props{
			ProjectName: jsii.String("flexbuild"), Repositories: jsii.Strings("app"), RepositoryPrefix: jsii.String("flexbuild/"),
			ComputeType: awscodebuild.ComputeType_SMALL, DockerHubMirrors: jsii.Strings("mirror.test/hub", "mirror.gcr.io"),
		}},
		"no mirrors": {map[string]any{"mirrors": ""}, props{
			ProjectName: jsii.String("flexbuild"), Repositories: jsii.Strings("app"), RepositoryPrefix: jsii.String("flexbuild/"),
			ComputeType: awscodebuild.ComputeType_SMALL, DockerHubMirrors: jsii.Strings(),
		}},
		"cdk.json": {map[string]any{
			"project": "images", "repositories": []any{"api", "web"}, "immutable": true, "timeout": 90.0,
		}, props{
			ProjectName: jsii.String("images"), Repositories: jsii.Strings("api", "web"), RepositoryPrefix: jsii.String("images/"),
			ImageTagMutability: awsecr.TagMutability_IMMUTABLE, ComputeType: awscodebuild.ComputeType_SMALL,
			Timeout: minutes(90),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := contextOf(test.context).Props()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got, cmp.Comparer(equalDurations)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func equalDurations(a, b awscdk.Duration) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a.ToSeconds(nil) == *b.ToSeconds(nil)
}

func TestContextNamesTheStack(t *testing.T) {
	if got := contextOf(nil).StackName(); got != "flexbuild" {
		t.Errorf("the default stack is called %q", got)
	}
	if got := contextOf(map[string]any{"stack": "images"}).StackName(); got != "images" {
		t.Errorf("the stack is called %q, want images", got)
	}
}

func TestContextReportsEverythingAtOnce(t *testing.T) {
	_, err := contextOf(map[string]any{
		"immutable": "maybe", "size": "huge", "timeout": "long", "untagged": "-1", "concurrency": "0", "prefix": "team",
	}).Props()
	for _, want := range []string{
		`context value immutable: "maybe": give true or false`,
		`context value size: "huge": give 2xlarge, large, medium, small, xlarge`,
		`context value timeout: "long": give a number`,
		`context value untagged: "-1": give a number of days above 0`,
		`ConcurrentBuildLimit: 0: write a whole number`,
		`RepositoryPrefix: "team": write`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
