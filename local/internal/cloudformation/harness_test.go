package cloudformation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// things is the provider of Test::Thing: resources in memory that a test can
// make fail. A thing's Name is its physical id. Its Size can change, its Shape
// cannot, and Needs stands for a reference to another resource.
type things struct {
	mu      sync.Mutex
	exist   map[string]string // size by physical id
	fail    map[string]string // why an action on a name fails: "create a": "reason"
	blocked chan struct{}     // creations wait until it is closed, if it is not nil
	made    int
	log     []string
}

func newThings() *things {
	return &things{exist: map[string]string{}, fail: map[string]string{}}
}

func (t *things) Schema() resources.Schema {
	return resources.Schema{
		Attributes: []string{"Arn", "Promised"},
		Properties: map[string]resources.Property{
			"Name":  {},
			"Size":  {},
			"Count": {Kind: resources.Integer},
			"Shape": {CreateOnly: true},
			"Needs": {Kind: resources.List},
		},
	}
}

func (t *things) act(action, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, action+" "+id)
	if why := t.fail[action+" "+id]; why != "" {
		return errors.New(why)
	}
	return nil
}

func (t *things) Create(ctx context.Context, r resources.Request) (resources.Resource, error) {
	if t.blocked != nil {
		select {
		case <-t.blocked:
		case <-ctx.Done():
			return resources.Resource{}, ctx.Err()
		}
	}
	if err := t.act("create", r.LogicalID); err != nil {
		return resources.Resource{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made++
	id := fmt.Sprintf("%s-%d", strings.ToLower(r.LogicalID), t.made)
	t.exist[id] = r.String("Size")
	return resources.Resource{PhysicalID: id, Attributes: map[string]any{"Arn": "arn:thing/" + id}}, nil
}

func (t *things) Update(_ context.Context, r resources.Request, id string) (resources.Resource, error) {
	if err := t.act("update", r.LogicalID); err != nil {
		return resources.Resource{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exist[id] = r.String("Size")
	return resources.Resource{PhysicalID: id, Attributes: map[string]any{"Arn": "arn:thing/" + id}}, nil
}

func (t *things) Delete(_ context.Context, r resources.Request, id string) error {
	if err := t.act("delete", r.LogicalID); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.exist, id)
	return nil
}

func (t *things) snapshot() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	copied := map[string]string{}
	for id, size := range t.exist {
		copied[id] = size
	}
	return copied
}

// an engine is the service behind its real front door, and the real SDK's
// client for it.
type engine struct {
	*Service
	client *cfn.Client
	things *things
	store  *store.Store
	dir    string
}

func startEngine(t *testing.T) *engine {
	t.Helper()
	return startEngineIn(t, t.TempDir(), newThings())
}

func startEngineIn(t *testing.T, dir string, things *things) *engine {
	t.Helper()
	db, err := store.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	roles, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := New(Options{Store: db, Clock: clockwork.NewRealClock(), Region: "us-east-1", IAM: roles, Providers: map[string]resources.Provider{"Test::Thing": things, "Test::Role": capable{things}}})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Service: svc, client: serve(t, roles, svc), things: things, store: db, dir: dir}
	t.Cleanup(e.stop)
	return e
}

// stop ends the engine; it may be called twice.
func (e *engine) stop() {
	_ = e.Close()
	_ = e.store.Close()
}

// capable is a type that needs a capability.
type capable struct{ *things }

func (c capable) Schema() resources.Schema {
	s := c.things.Schema()
	s.Capability, s.NamedBy = "CAPABILITY_IAM", "Name"
	return s
}

func serve(t *testing.T, roles *iam.Service, svc *Service) *cfn.Client {
	t.Helper()
	keys, err := roles.RootCredentials()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.New(wire.Config{
		Region: "us-east-1",
		IAM:    roles,
		Query: []wire.QueryService{{
			Name: "cloudformation", Version: Version, Namespace: Namespace, Service: svc,
		}},
	}))
	t.Cleanup(server.Close)
	return cfn.New(cfn.Options{
		BaseEndpoint: &server.URL,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   wire.NewHTTPClient(),
	})
}

// settle waits for the operations at work.
func (e *engine) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.Wait(ctx); err != nil {
		t.Fatal("operations did not end: ", err)
	}
}

func (e *engine) create(t *testing.T, name, body string) {
	t.Helper()
	if _, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: &name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	e.settle(t)
}

func (e *engine) update(t *testing.T, name, body string) {
	t.Helper()
	if _, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: &name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	e.settle(t)
}

func (e *engine) destroy(t *testing.T, name string) {
	t.Helper()
	if _, err := e.client.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: &name}); err != nil {
		t.Fatal(err)
	}
	e.settle(t)
}

// status returns a stack's status and reason.
func (e *engine) status(t *testing.T, name string) string {
	t.Helper()
	out, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out.Stacks[0].StackStatus) + " " + aws.ToString(out.Stacks[0].StackStatusReason))
}

func (e *engine) outputs(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for _, o := range out.Stacks[0].Outputs {
		outputs[*o.OutputKey] = *o.OutputValue
	}
	return outputs
}

// events returns a stack's events, the oldest first, as "LogicalId STATUS".
func (e *engine) events(t *testing.T, nameOrID string) []string {
	t.Helper()
	var events []string
	pages := cfn.NewDescribeStackEventsPaginator(e.client, &cfn.DescribeStackEventsInput{StackName: &nameOrID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range page.StackEvents {
			events = append([]string{*event.LogicalResourceId + " " + string(event.ResourceStatus)}, events...)
		}
	}
	return events
}

// wantError fails the test unless err is an API error with the code and the
// text.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	switch {
	case err == nil:
		t.Fatalf("no error; want %s with %q", code, text)
	case !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text):
		t.Fatalf("error is %v; want %s with %q", err, code, text)
	}
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
