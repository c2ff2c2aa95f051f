package local_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
)

// ask calls BatchGetBuilds n times, and returns how many calls were throttled.
func ask(t *testing.T, cfg aws.Config, n int) (throttled int) {
	t.Helper()
	client := codebuild.NewFromConfig(cfg, func(o *codebuild.Options) { o.RetryMaxAttempts = 1 })
	for range n {
		_, err := client.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{"flexbuild:none"}})
		var refused smithy.APIError
		switch {
		case errors.As(err, &refused) && refused.ErrorCode() == "ThrottlingException" && refused.ErrorMessage() == "Rate exceeded":
			throttled++
		case err != nil:
			t.Fatal(err)
		}
	}
	return throttled
}

func TestCallsAreThrottledByAWSsQuotasWhereAskedFor(t *testing.T) {
	clock := clockwork.NewFakeClockAt(time.Now())
	cfg := run(t, local.Options{Dir: t.TempDir(), AWSLimits: true, Clock: clock}).Endpoint().Config()
	if n := ask(t, cfg, 13); n != 3 {
		t.Errorf("of 13 calls, %d are throttled", n)
	}
	clock.Advance(200 * time.Millisecond)
	if n := ask(t, cfg, 3); n != 1 {
		t.Errorf("after a fifth of a second, of 3 calls %d are throttled", n)
	}
	login, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(decoded(t, *login.AuthorizationData[0].AuthorizationToken), ":")
	push := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, *cfg.BaseEndpoint+"/v2/none/manifests/1", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(user, password)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	for i := range 10 {
		if status := push(); status == http.StatusTooManyRequests {
			t.Fatalf("push %d is throttled", i+1)
		}
	}
	if status := push(); status != http.StatusTooManyRequests {
		t.Errorf("the 11th push has the status %d", status)
	}

	free := run(t, local.Options{Dir: t.TempDir(), Clock: clock}).Endpoint().Config()
	if n := ask(t, free, 100); n != 0 {
		t.Errorf("without the option, %d calls are throttled", n)
	}
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestANewAccountRunsOneBuildAndQueuesFive(t *testing.T) {
	cfg := run(t, local.Options{Dir: t.TempDir(), AWSLimits: true}).Endpoint().Config()
	if err := local.Deploy(t.Context(), cfg, buildspec.StackName, flexbuild.Template); err != nil {
		t.Fatal(err)
	}
	first := startBuild(t, cfg, "sleep 600")
	until(t, cfg, first, func(b types.Build) bool { return *b.CurrentPhase == "BUILD" })
	for range 5 {
		id := startBuild(t, cfg, "true")
		until(t, cfg, id, func(b types.Build) bool { return *b.CurrentPhase == "QUEUED" })
	}
	_, err := codebuild.NewFromConfig(cfg).StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String("flexbuild")})
	var full *types.AccountLimitExceededException
	if !errors.As(err, &full) || !strings.Contains(err.Error(), "Cannot have more than 5 builds in queue for the account") {
		t.Errorf("a seventh build: %v", err)
	}
}
