package codebuild

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

func retrying(in *codebuild.StartBuildInput) { in.AutoRetryLimitOverride = aws.Int32(2) }

// mayRetry lets the role of builds retry those of a project.
func (b *bench) mayRetry(t *testing.T, project string) {
	t.Helper()
	role, _, err := b.iam.Role("builder")
	if err != nil {
		t.Fatal(err)
	}
	policy := `{"Statement":[{"Effect":"Allow","Action":"codebuild:RetryBuild","Resource":"` + b.arn("project", project) + `"}]}`
	role.Policies = map[string]json.RawMessage{"retry": json.RawMessage(policy)}
	if err := b.iam.PutRole(role); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedBuildIsRetriedUpToItsLimit(t *testing.T) {
	b := newBench(t, 1)
	p := project("demo")
	p.AutoRetryLimit, p.ConcurrentBuildLimit = aws.Int32(2), aws.Int32(1)
	p.VpcConfig = &types.VpcConfig{VpcId: aws.String("vpc-1"), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
	b.put(t, p)
	b.mayRetry(t, "demo")
	previous := b.mustStart(t)
	for number := int32(0); number <= 2; number++ {
		c := b.running(t)
		build := b.get(t, c.id)
		config := build.AutoRetryConfig
		if build.VpcConfig == nil || *build.VpcConfig.VpcId != "vpc-1" {
			t.Errorf("build %d is in %+v", number, build.VpcConfig)
		}
		if *config.AutoRetryLimit != 2 || *config.AutoRetryNumber != number || config.NextAutoRetry != nil {
			t.Fatalf("build %d has %+v", number, config)
		}
		if number > 0 {
			if before := b.completed(t, *previous.Id); *before.AutoRetryConfig.NextAutoRetry != *build.Arn || *config.PreviousAutoRetry != *before.Arn {
				t.Errorf("%+v is followed by %+v", before.AutoRetryConfig, config)
			}
			if _, uuid, _ := strings.Cut(*previous.Id, ":"); *build.Initiator != "builder/AWSCodeBuild-"+uuid || *build.BuildNumber != int64(number)+1 {
				t.Errorf("build %d was started by %s", *build.BuildNumber, *build.Initiator)
			}
		}
		c.finish <- types.StatusTypeFailed
		previous = build
	}
	if last := b.completed(t, *previous.Id); last.AutoRetryConfig.NextAutoRetry != nil || len(b.history) != 3 {
		t.Errorf("of %d builds, the last has %+v", len(b.history), last.AutoRetryConfig)
	}
}

func TestOnlyFailedBuildsAreRetried(t *testing.T) {
	b := newBench(t, 1)
	b.mayRetry(t, "demo")
	for _, end := range []func(*conducted){
		func(c *conducted) { c.finish <- types.StatusTypeSucceeded },
		func(c *conducted) { c.finish <- types.StatusTypeFault },
		func(c *conducted) { b.stop(t, c.id) },
	} {
		id := *b.mustStart(t, retrying).Id
		end(b.running(t))
		if build := b.completed(t, id); build.AutoRetryConfig.NextAutoRetry != nil {
			t.Errorf("a build that is %s is retried", build.BuildStatus)
		}
	}
}

func TestRetriesNeedTheRolesPermission(t *testing.T) {
	b := newBench(t, 1)
	b.mayRetry(t, "another")
	id := *b.mustStart(t, retrying).Id
	b.running(t).finish <- types.StatusTypeFailed
	if build := b.completed(t, id); build.AutoRetryConfig.NextAutoRetry != nil || len(b.history) != 1 {
		t.Errorf("there are %d builds", len(b.history))
	}
}

func TestARetryByHandMayBeRetriedAsOften(t *testing.T) {
	b := newBench(t, 1)
	id := *b.mustStart(t, retrying).Id
	b.running(t).finish <- types.StatusTypeSucceeded
	b.completed(t, id)
	out, err := b.RetryBuild(iam.WithPrincipal(t.Context(), iam.Root()), &codebuild.RetryBuildInput{Id: &id})
	if err != nil {
		t.Fatal(err)
	}
	if c := out.Build.AutoRetryConfig; *c.AutoRetryLimit != 2 || *c.AutoRetryNumber != 0 {
		t.Errorf("it has %+v", c)
	}
}

func TestAnAutoRetryLimitIsAtMost10(t *testing.T) {
	b := newBench(t, 1)
	_, err := b.start(func(in *codebuild.StartBuildInput) { in.AutoRetryLimitOverride = aws.Int32(11) })
	wantError(t, err, "InvalidInputException", "'autoRetryLimitOverride' failed to satisfy constraint: Member must have value less than or equal to 10")
	p := project("demo")
	p.AutoRetryLimit = aws.Int32(-1)
	_, err = b.PutProject(p)
	wantError(t, err, "InvalidInputException", "'autoRetryLimit' failed to satisfy constraint: Member must have value greater than or equal to 0")
}
