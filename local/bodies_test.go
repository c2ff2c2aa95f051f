package local_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// Clients begin to upload a gigabyte each, send a megabyte and then nothing.
// The engine ends that after a minute. Until then each costs it little memory.
func TestClientsThatSendNothingHoldNothing(t *testing.T) {
	const (
		clients = 100
		begun   = 1 << 20
		most    = 192 << 10 // bytes of memory for each, with the client's own
		limit   = time.Minute
	)
	synctest.Test(t, func(t *testing.T) {
		e := localtest.New(t, localtest.InMemory(), localtest.SimulateBuilds(nil))
		e.Deploy(t, "uploads", `{"Resources":{
			"Bucket":{"Type":"AWS::S3::Bucket","Properties":{"BucketName":"bucket"}},
			"Repository":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"app"}}}}`)
		for name, upload := range uploads {
			before, began := memory(), time.Now()
			var all sync.WaitGroup
			for range clients {
				request := upload.request(t, e)
				body, client := io.Pipe()
				request.Body, request.ContentLength = body, 1<<30
				all.Go(func() {
					_, err := io.WriteString(client, upload.prefix)
					_, more := client.Write(make([]byte, begun))
					if err := errors.Join(err, more); err != nil {
						t.Errorf("%s: send the beginning: %v", name, err)
					}
				})
				all.Go(func() {
					status, text := answer(t, e, request)
					if status != upload.status || !strings.Contains(text, "Your socket connection to the server was not read from") {
						t.Errorf("%s: the answer is %d: %s", name, status, text)
					}
					client.Close()
				})
			}
			synctest.Wait() // until all of them wait for the others
			each := (memory() - before) / clients
			if t.Logf("%s: %d KiB each", name, each>>10); each > most {
				t.Errorf("%s: each client holds %d bytes", name, each)
			}
			all.Wait()
			if took := time.Since(began); took < limit || took > 2*limit {
				t.Errorf("%s: the clients were answered after %v", name, took)
			}
		}
	})
}

// Whoever has no keys is answered without the body. A short one is waited for,
// so that the connection can go on, but not for ever.
func TestNobodyWaitsForTheBodiesOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := localtest.New(t, localtest.InMemory(), localtest.SimulateBuilds(nil))
		for _, stranger := range []struct {
			method, path string
			headers      map[string]string
			status       int
		}{
			{"POST", "/", map[string]string{"X-Amz-Target": "CodeBuild_20161006.ListBuilds"}, http.StatusBadRequest},
			{"POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, http.StatusForbidden},
			{"PUT", "/bucket/key", nil, http.StatusForbidden},
			{"PUT", "/bucket/key?X-Amz-Signature=x", nil, http.StatusBadRequest},
			{"POST", "/v2/app/blobs/uploads/?digest=x", nil, http.StatusUnauthorized},
			{"PUT", "/v2/app/manifests/1", map[string]string{"Authorization": "Basic QVdTOng="}, http.StatusBadRequest},
		} {
			for length, limit := range map[int64]time.Duration{1 << 30: 0, 100: time.Minute} {
				began := time.Now()
				r := newRequest(t, e, stranger.method, stranger.path)
				for name, value := range stranger.headers {
					r.Header.Set(name, value)
				}
				body, client := io.Pipe()
				r.Body, r.ContentLength = body, length
				status, text := answer(t, e, r)
				client.Close()
				if took := time.Since(began).Truncate(time.Second); status != stranger.status || took != limit {
					t.Errorf("%s %s with %d bytes: %d after %v: %s", stranger.method, stranger.path, length, status, took, text)
				}
			}
		}
	})
}

// uploads are the kinds of bodies that the engine streams.
var uploads = map[string]struct {
	request func(*testing.T, *localtest.Engine) *http.Request
	prefix  string // of the body
	status  int
}{
	"object": {func(t *testing.T, e *localtest.Engine) *http.Request { return putObject(t, e, "UNSIGNED-PAYLOAD") }, "", http.StatusBadRequest},
	"object in chunks": {func(t *testing.T, e *localtest.Engine) *http.Request {
		return putObject(t, e, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	}, "3fffff00\r\n", http.StatusBadRequest},
	"layer": {patchLayer, "", http.StatusRequestTimeout},
}

// putObject returns a signed request of S3's PutObject without its body.
func putObject(t *testing.T, e *localtest.Engine, payload string) *http.Request {
	t.Helper()
	r := newRequest(t, e, http.MethodPut, "/bucket/key")
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(0x3fffff00))
	key, err := e.Config().Credentials.Retrieve(t.Context())
	if err == nil {
		err = v4.NewSigner().SignHTTP(t.Context(), key, r, payload, "s3", e.Endpoint().Region, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// patchLayer begins the upload of a layer and returns the request that goes on.
func patchLayer(t *testing.T, e *localtest.Engine) *http.Request {
	t.Helper()
	login, err := ecr.NewFromConfig(e.Config()).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	begin := newRequest(t, e, http.MethodPost, "/v2/app/blobs/uploads/")
	begin.Header.Set("Authorization", "Basic "+*login.AuthorizationData[0].AuthorizationToken)
	response, err := e.Config().HTTPClient.Do(begin)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	r := newRequest(t, e, http.MethodPatch, response.Header.Get("Location"))
	r.Header = begin.Header
	return r
}

func newRequest(t *testing.T, e *localtest.Engine, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.Endpoint().URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answer returns the status and the body of the answer to a request.
func answer(t *testing.T, e *localtest.Engine, r *http.Request) (int, string) {
	response, err := e.Config().HTTPClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

// memory returns how many bytes of memory are in use.
func memory() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc + stats.StackInuse)
}
