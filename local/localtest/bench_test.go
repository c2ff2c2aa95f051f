//go:build unix

package localtest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"golang.org/x/sys/unix"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// BenchmarkBatchGetBuilds asks for 100 builds of the default stack at a time,
// which all have its buildspec. The client signs the call and drops the answer,
// so that the engine's own work is what counts.
func BenchmarkBatchGetBuilds(b *testing.B) {
	e := localtest.New(b, localtest.WithConcurrency(20), localtest.SimulateBuilds(nil))
	e.Deploy(b, buildspec.StackName, flexbuild.Template)
	body := batchOf100(b, e)
	sum := sha256.Sum256(body)
	key, err := e.Config().Credentials.Retrieve(b.Context())
	check(b, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	call := func() int64 {
		r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, e.Endpoint().URL, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "CodeBuild_20161006.BatchGetBuilds")
		check(b, v4.NewSigner().SignHTTP(b.Context(), key, r, hex.EncodeToString(sum[:]), "codebuild", "us-east-1", time.Now()))
		answer, err := transport.RoundTrip(r)
		if err != nil {
			b.Error(err)
			return 0
		}
		defer answer.Body.Close()
		n, _ := io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK {
			b.Errorf("the answer is %s", answer.Status)
		}
		return n
	}
	b.ReportMetric(float64(call()), "bytes/call")
	before := cpuTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((cpuTime()-before).Milliseconds())/float64(b.N), "cpu-ms/call") // what a busy machine does not change
}

// cpuTime returns what this process has used of the processors so far.
func cpuTime() time.Duration {
	var usage unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// batchOf100 starts 100 builds, waits for their end, and returns the body of a
// BatchGetBuilds for them.
func batchOf100(b *testing.B, e *localtest.Engine) []byte {
	b.Helper()
	client := codebuild.NewFromConfig(e.Config())
	var ids []string
	for range 100 {
		out, err := client.StartBuild(b.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(buildspec.StackName)})
		check(b, err)
		ids = append(ids, *out.Build.Id)
	}
	for {
		out, err := client.BatchGetBuilds(b.Context(), &codebuild.BatchGetBuildsInput{Ids: ids})
		check(b, err)
		running := 0
		for _, build := range out.Builds {
			if !build.BuildComplete {
				running++
			}
		}
		if running == 0 {
			break
		}
	}
	body, err := json.Marshal(map[string][]string{"ids": ids})
	check(b, err)
	return body
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
