package localtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/codebuild-flex/flexbuild/local/internal/rate"
)

// Faults make calls between clients and the engine fail as calls to AWS do.
// Shares are of all calls, from 0 to 1. One Faults stands for one account:
// share it among the clients of a test.
//
//	faults := &localtest.Faults{Seed: 1, Throttled: 0.1, AnswerLost: 0.05}
//	client, err := runner.New(ctx, faults.Config(engine.Config()), "flexbuild")
//
// They work in a bubble of testing/synctest too, with an engine that is
// InMemory.
type Faults struct {
	Seed uint64 // seed of the random choices

	Throttled  float64 // the call is throttled
	Failed     float64 // the service returns an internal error
	NotSent    float64 // there is no connection
	CutBefore  float64 // the connection breaks before the service acts
	AnswerLost float64 // the connection breaks after the service has acted
	Truncated  float64 // the answer ends in the middle
	Stalled    float64 // the service acts, and the answer never comes

	// Quotas are the numbers of calls a second that the service accepts, by
	// operation. It throttles calls above them.
	Quotas map[string]float64

	// NotFound is how long a build that was started is neither found nor
	// listed.
	NotFound time.Duration
	// LogPlaceLate is how long CodeBuild does not report where the log of a
	// build is. LogPlaceLost is the share of builds for which it never does.
	LogPlaceLate time.Duration
	LogPlaceLost float64

	// CredentialsLife is how long credentials are valid. 0 means that they do
	// not expire.
	CredentialsLife time.Duration

	// Only lists the operations to which the shares apply. If it is empty, they
	// apply to all.
	Only []string

	mu      sync.Mutex
	random  *rand.Rand
	calls   map[string]int
	limiter rate.Limiter
	started map[string]time.Time // by build
	keys    map[string]time.Time // when an access key was first used
}

// Config returns a copy of cfg with the faults between its clients and the
// service.
func (f *Faults) Config(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.HTTPClient = faultyClient{f, cfg.HTTPClient}
	return cfg
}

// Calls returns how many calls of an operation were made, including those that
// failed.
func (f *Faults) Calls(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[operation]
}

// A fault is one of those that are drawn by their shares.
type fault int

const (
	none fault = iota
	throttled
	failed
	notSent
	cutBefore
	answerLost
	truncated
	stalled
	expired
)

// draw draws the fault of a call.
func (f *Faults) draw(operation, key string) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin()
	f.calls[operation]++
	if f.hasExpired(key) {
		return expired
	}
	if !f.limiter.Allow(operation, f.Quotas[operation], time.Now()) {
		return throttled
	}
	if len(f.Only) > 0 && !slices.Contains(f.Only, operation) {
		return none
	}
	at := f.random.Float64()
	shares := []float64{f.Throttled, f.Failed, f.NotSent, f.CutBefore, f.AnswerLost, f.Truncated, f.Stalled}
	for i, share := range shares {
		if at -= share; at < 0 {
			return throttled + fault(i)
		}
	}
	return none
}

func (f *Faults) begin() {
	if f.random == nil {
		f.random = rand.New(rand.NewPCG(f.Seed, 1))
		f.calls = map[string]int{}
		f.started, f.keys = map[string]time.Time{}, map[string]time.Time{}
	}
}

func (f *Faults) hasExpired(key string) bool {
	if f.CredentialsLife == 0 {
		return false
	}
	if f.keys[key].IsZero() {
		f.keys[key] = time.Now()
	}
	return time.Since(f.keys[key]) > f.CredentialsLife
}

// faultyClient is an SDK's HTTP client with faults.
type faultyClient struct {
	faults *Faults
	next   aws.HTTPClient
}

// errCut is the error of a client whose connection breaks.
var errCut = fmt.Errorf("read: connection reset by peer: %w", io.ErrUnexpectedEOF)

// Do implements aws.HTTPClient.
func (c faultyClient) Do(r *http.Request) (*http.Response, error) {
	operation, err := operationOf(r)
	if err != nil {
		return nil, err
	}
	kind := c.faults.draw(operation, accessKey(r))
	switch kind {
	case throttled, failed, expired:
		return refusal(r, kind), nil
	case notSent:
		return nil, dialError
	case cutBefore:
		return nil, errCut
	}
	answer, err := c.next.Do(r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case answerLost:
		answer.Body.Close()
		return nil, errCut
	case stalled:
		answer.Body.Close()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return c.faults.answer(operation, kind, answer)
}

// answer removes what the service does not report yet, and truncates the
// answer.
func (f *Faults) answer(operation string, kind fault, answer *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	hides := f.NotFound > 0 || f.LogPlaceLate > 0 || f.LogPlaceLost > 0
	if hide := hidden[operation]; hides && hide != nil && answer.StatusCode == http.StatusOK {
		if body, err = f.hide(hide, body); err != nil {
			return nil, err
		}
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if kind == truncated && len(body) > 0 {
		cut := io.MultiReader(bytes.NewReader(body[:len(body)/2]), brokenReader{})
		answer.Body = io.NopCloser(cut)
	}
	return answer, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errCut }

func (f *Faults) hide(hide func(*Faults, map[string]any), body []byte) ([]byte, error) {
	var document map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	hide(f, document)
	return json.Marshal(document)
}

// hidden has a function for each operation whose answers describe builds.
var hidden = map[string]func(*Faults, map[string]any){
	"StartBuild": func(f *Faults, document map[string]any) {
		if build, ok := document["build"].(map[string]any); ok {
			f.note(build["id"].(string))
			f.hidePlace(build)
		}
	},
	"BatchGetBuilds": func(f *Faults, document map[string]any) {
		builds, _ := document["builds"].([]any)
		missing, _ := document["buildsNotFound"].([]any)
		document["builds"] = slices.DeleteFunc(builds, func(b any) bool {
			build := b.(map[string]any)
			id := build["id"].(string)
			f.hidePlace(build)
			if f.isHidden(id) {
				missing = append(missing, id)
			}
			return f.isHidden(id)
		})
		document["buildsNotFound"] = missing
	},
	"ListBuildsForProject": func(f *Faults, document map[string]any) {
		ids, _ := document["ids"].([]any)
		document["ids"] = slices.DeleteFunc(ids, func(id any) bool { return f.isHidden(id.(string)) })
	},
}

func (f *Faults) note(id string) {
	if f.started[id].IsZero() {
		f.started[id] = time.Now()
	}
}

func (f *Faults) isHidden(id string) bool {
	f.note(id) // a build whose start's answer was lost is seen here first
	return time.Since(f.started[id]) < f.NotFound
}

func (f *Faults) hidePlace(build map[string]any) {
	id := build["id"].(string)
	f.note(id)
	logs, ok := build["logs"].(map[string]any)
	if ok && (time.Since(f.started[id]) < f.LogPlaceLate || f.LosesPlace(id)) {
		logs["groupName"], logs["streamName"] = nil, nil
	}
}

// LosesPlace reports whether the build is one whose log's place CodeBuild never
// reports.
func (f *Faults) LosesPlace(id string) bool {
	seed := f.Seed
	for _, c := range id {
		seed = seed*31 + uint64(c)
	}
	return rand.New(rand.NewPCG(seed, 2)).Float64() < f.LogPlaceLost
}

// operationOf returns the name of a call's operation, and leaves the body as it
// was.
func operationOf(r *http.Request) (string, error) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndex(target, ".")+1:], nil
	}
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return objectOperations[r.Method], nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, rest, _ := strings.Cut(string(body), "Action=")
	operation, _, _ := strings.Cut(rest, "&")
	return operation, nil
}

// objectOperations are the operations of S3 that the runner calls, by method.
var objectOperations = map[string]string{http.MethodPut: "PutObject", http.MethodGet: "ListObjectsV2"}

// accessKey returns the access key with which a request is signed.
func accessKey(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}
