package cloudformation

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// create asks for a stack of the default template with parameters, by name and
// value.
func (w *world) create(t *testing.T, stack string, parameters ...string) error {
	t.Helper()
	body := defaultTemplate(t)
	_, err := w.client.CreateStack(t.Context(), &cfn.CreateStackInput{
		StackName: &stack, TemplateBody: &body, Parameters: pairsOf(parameters...),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	})
	return err
}

func TestTheDefaultStackTakesParameters(t *testing.T) {
	w := startWorld(t)
	must(t, w.create(t, "team",
		"ProjectName", "team-a", "RepositoryName", "team/web", "RepositoryPrefix", "team/a/", "CreateRepositoriesOnPush", "true",
		"ImageTagMutability", "IMMUTABLE", "UntaggedImageExpiryInDays", "30", "CacheExpiryInDays", "2", "SourceExpiryInDays", "3",
		"ComputeType", "BUILD_GENERAL1_LARGE", "TimeoutInMinutes", "90", "QueuedTimeoutInMinutes", "5", "ConcurrentBuildLimit", "4",
		"DockerHubSecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/hub-a1B2c3", "LogRetentionInDays", "0"))
	w.settle(t)
	if got := w.status(t, "team"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "team"))
	}
	project := w.project(t, "team-a")
	variables := map[string]string{}
	for _, v := range project.Environment.EnvironmentVariables {
		variables[*v.Name] = *v.Value
	}
	for what, values := range map[string][2]any{
		"timeout":        {*project.TimeoutInMinutes, int32(90)},
		"queued timeout": {*project.QueuedTimeoutInMinutes, int32(5)},
		"concurrency":    {*project.ConcurrentBuildLimit, int32(4)},
		"size":           {string(project.Environment.ComputeType), "BUILD_GENERAL1_LARGE"},
		"cache expiry":   {variables["CACHE_EXPIRY_IN_DAYS"], "2"},
		"cache":          {variables["CACHE_REPOSITORY"], "team-a-cache"},
		"mirrors":        {variables["MIRRORS"], "docker.io=127.0.0.1:5000/team-a-docker-hub"},
		"on push":        {variables["CREATE_ON_PUSH"], "team/a/"},
		"repositories":   {w.outputs(t, "team")["RepositoryNames"], "team/web"},
		"prefix":         {w.outputs(t, "team")["RepositoryPrefix"], "team/a/"},
		"source expiry":  {w.outputs(t, "team")["SourceExpiryInDays"], "3"},
		"log group":      {w.outputs(t, "team")["LogGroupName"], "/aws/codebuild/team-a"},
	} {
		if values[0] != values[1] {
			t.Errorf("%s is %v, want %v", what, values[0], values[1])
		}
	}
	repository, err := w.repositories.Repository("team/web")
	must(t, err)
	if repository.ImageTagMutability != "IMMUTABLE" || !strings.Contains(repository.LifecyclePolicyText, `"countNumber":30,`) {
		t.Errorf("the repository is %+v", repository)
	}
}

func TestTwoDefaultStacksNeedDifferentProjectsOnly(t *testing.T) {
	w := startWorld(t)
	must(t, w.create(t, "flexbuild"))
	must(t, w.create(t, "other", "ProjectName", "other"))
	w.settle(t)
	for stack, repository := range map[string]string{"flexbuild": "app", "other": "other/app"} {
		if got := w.status(t, stack); got != "CREATE_COMPLETE" {
			t.Error(got, w.failures(t, stack))
		}
		if got := w.outputs(t, stack)["RepositoryNames"]; got != repository {
			t.Errorf("%s has the repository %q, want %q", stack, got, repository)
		}
	}
}

func TestTheDefaultStackRefusesBadParameters(t *testing.T) {
	w := startWorld(t)
	for _, c := range []struct {
		name, value, want string
	}{
		{"ProjectName", "Team", "must be at most 19 lower-case letters and digits"},
		{"ProjectName", "a-project-of-20-chars", "must be at most 19"},
		{"ProjectName", "", "must be at most 19"},
		{"RepositoryName", "a//b", "must be lower-case letters and digits"},
		{"RepositoryPrefix", "team", "and a / at its end"},
		{"CreateRepositoriesOnPush", "yes", "must be one of AllowedValues"},
		{"ImageTagMutability", "NEVER", "must be one of AllowedValues"},
		{"UntaggedImageExpiryInDays", "-1", "must be a number not less than 0"},
		{"CacheExpiryInDays", "0", "must be a number not less than 1"},
		{"SourceExpiryInDays", "36501", "must be a number not greater than 36500"},
		{"ComputeType", "small", "must be one of AllowedValues"},
		{"TimeoutInMinutes", "4", "must be a number not less than 5"},
		{"QueuedTimeoutInMinutes", "481", "must be a number not greater than 480"},
		{"ConcurrentBuildLimit", "many", "must be a number"},
		{"DockerHubSecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-a1B2c3", "begins with ecr-pullthroughcache/"},
		{"VpcId", "subnet-1", "must be vpc-ID"},
		{"VpcId", "vpc-0a", "give the private subnets of the VPC"},
		{"SubnetIds", "subnet-0a, subnet-0b", "must be subnet-ID,subnet-ID"},
		{"SubnetIds", "subnet-0a", "give the VPC that has them"},
		{"SecurityGroupIds", "sg-1,sg-2,sg-3,sg-4,sg-5,sg-6", "must be 1 to 5"},
		{"SecurityGroupIds", "sg-1", "give the VPC that has them"},
		{"LogRetentionInDays", "2", "must be one of AllowedValues"},
		{"PermissionsBoundaryArn", "bound", "must be the ARN of a managed policy"},
		{"Size", "small", "do not exist in the template"},
	} {
		wantError(t, w.create(t, "bad", c.name, c.value), "ValidationError", c.want)
	}
}

func TestTheDefaultStackInAVpc(t *testing.T) {
	w := startWorld(t)
	must(t, w.create(t, "vpc", "VpcId", "vpc-0a", "SubnetIds", "subnet-0a,subnet-0b"))
	w.settle(t)
	if got := w.status(t, "vpc"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "vpc"))
	}
	vpc := w.project(t, "flexbuild").VpcConfig
	if *vpc.VpcId != "vpc-0a" || !slices.Equal(vpc.Subnets, []string{"subnet-0a", "subnet-0b"}) ||
		len(vpc.SecurityGroupIds) != 1 || !strings.HasPrefix(vpc.SecurityGroupIds[0], "sg-") {
		t.Errorf("the project is in %+v", vpc)
	}
}

func pairsOf(pairs ...string) (list []types.Parameter) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.Parameter{ParameterKey: aws.String(pairs[i]), ParameterValue: aws.String(pairs[i+1])})
	}
	return list
}
