package wire

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	iamsdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TestEveryOperationSurvivesTheWire sends every field of every operation's
// input from the real SDK client over HTTP to the front door, and every field
// of the output back. It finds each type that the codecs and the SDK treat
// differently, even if the engine does not implement the operation.
func TestEveryOperationSurvivesTheWire(t *testing.T) {
	for name, test := range everyService {
		t.Run(name, func(t *testing.T) {
			e := &echo{}
			for name, method := range test.serve(t, name, e) {
				t.Run(name, func(t *testing.T) { e.roundTrip(t, method) })
			}
		})
	}
}

// A served is a service whose operations are all tested.
type served struct {
	client  func(aws.Config) any
	prefix  string // of AWS JSON
	version string // of AWS Query
	only    string // a regular expression of the names of operations
}

var everyService = map[string]served{
	"codebuild":      {client: func(c aws.Config) any { return codebuild.NewFromConfig(c) }, prefix: "CodeBuild_20161006"},
	"logs":           {client: func(c aws.Config) any { return cloudwatchlogs.NewFromConfig(c) }, prefix: "Logs_20140328"},
	"ecr":            {client: func(c aws.Config) any { return ecr.NewFromConfig(c) }, prefix: "AmazonEC2ContainerRegistry_V20150921"},
	"secretsmanager": {client: func(c aws.Config) any { return secretsmanager.NewFromConfig(c) }, prefix: "secretsmanager"},
	"ssm":            {client: func(c aws.Config) any { return ssm.NewFromConfig(c) }, prefix: "AmazonSSM", only: "(Parameter|Tag)"},
	"cloudformation": {client: func(c aws.Config) any { return cloudformation.NewFromConfig(c) }, version: "2010-05-15"},
	"iam":            {client: func(c aws.Config) any { return iamsdk.NewFromConfig(c) }, version: "2010-05-08"},
	"sts":            {client: func(c aws.Config) any { return sts.NewFromConfig(c) }, version: "2011-06-15"},
}

// serve makes e answer all operations of a service, and returns the client's
// methods that call them.
func (s served) serve(t *testing.T, name string, e *echo, edit ...func(*service)) map[string]reflect.Value {
	t.Helper()
	h, config := front(t)
	client := reflect.ValueOf(s.client(config))
	echoing := service{name: name, version: s.version, namespace: "https://example.com/doc/", operations: e.operationsOf(client)}
	for _, change := range edit {
		change(&echoing)
	}
	h.json[s.prefix], h.query[name] = echoing, echoing
	methods := map[string]reflect.Value{}
	for name := range echoing.operations {
		if regexp.MustCompile(s.only).MatchString(name) {
			methods[name] = client.MethodByName(name)
		}
	}
	return methods
}

// TestListsOfEveryAnswerAreThereWhenEmpty answers every operation of these
// services with an empty output. Each list of the response must arrive as an
// empty list, because a missing list is nil in the SDK and a KeyError in boto3.
func TestListsOfEveryAnswerAreThereWhenEmpty(t *testing.T) {
	for name, test := range everyService {
		t.Run(name, func(t *testing.T) {
			e := &echo{}
			for name, method := range test.serve(t, name, e) {
				input := reflect.New(method.Type().In(1).Elem())
				fill(input.Elem(), 0)
				e.output = reflect.Zero(method.Type().Out(0))
				results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
				if err := results[1].Interface(); err != nil {
					t.Fatal(err)
				}
				for field, value := range results[0].Elem().Fields() {
					if value.Kind() == reflect.Slice && value.Type() != bytesType && value.IsNil() {
						t.Errorf("%s: %s is missing", name, field.Name)
					}
				}
			}
		})
	}
}

// TestWhatTheAPIModelsDoNotAllowIsRefused sends, for each member of each
// operation's input that has a constraint, a value that breaks it.
func TestWhatTheAPIModelsDoNotAllowIsRefused(t *testing.T) {
	tried := 0
	for name, test := range everyService {
		e := &echo{}
		methods := test.serve(t, name, e, func(s *service) { s.constraints = allConstraints()[name] })
		for shape, members := range allConstraints()[name] {
			operation, isInput := strings.CutSuffix(shape, "Input")
			if !isInput {
				continue
			}
			method := methods[operation]
			if !method.IsValid() {
				t.Fatalf("%s: there is a shape of an operation %s, which this test does not know", name, operation)
			}
			for member, allowed := range members {
				for rule, break_ := range breaches(allowed) {
					input := reflect.New(method.Type().In(1).Elem())
					field := input.Elem().FieldByName(strings.ToUpper(member[:1]) + member[1:])
					if !field.IsValid() || !break_(field) {
						continue
					}
					tried++
					e.output = reflect.Zero(method.Type().Out(0))
					options := reflect.MakeFunc(method.Type().In(2).Elem(), unchecked)
					err, _ := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input, options})[1].Interface().(error)
					want := "at '" + strings.ToLower(member[:1]) + member[1:] + "' failed to satisfy constraint: "
					if codeOf(err) != invalidCodes[name] || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), rule) {
						t.Errorf("%s.%s.%s: %v, want %s with %s%s", name, operation, member, err, invalidCodes[name], want, rule)
					}
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("%d constraints were broken: this test does not try what it should", tried)
	}
}

// unchecked switches off a client's own validation of its input.
func unchecked(options []reflect.Value) []reflect.Value {
	field := options[0].Elem().FieldByName("APIOptions")
	remove := func(stack *middleware.Stack) error {
		stack.Initialize.Remove("OperationInputValidation") //nolint:errcheck // some have none
		return nil
	}
	field.Set(reflect.Append(field, reflect.ValueOf(remove)))
	return nil
}

// breaches returns functions that set a field to a value that violates the
// constraint, by the text of the expected error. A function returns false if
// the field has another kind.
func breaches(allowed constraint) map[string]func(reflect.Value) bool {
	text := func(value string) func(reflect.Value) bool {
		return func(field reflect.Value) bool {
			if field.Type() == reflect.TypeFor[*string]() {
				field.Set(reflect.ValueOf(&value))
				return true
			}
			return false
		}
	}
	list := func(n int) func(reflect.Value) bool {
		return func(field reflect.Value) bool {
			if field.Kind() != reflect.Slice || field.Type() == bytesType {
				return false
			}
			field.Set(reflect.MakeSlice(field.Type(), n, n))
			for i := range n {
				fill(field.Index(i), maxFill)
			}
			return true
		}
	}
	found := map[string]func(reflect.Value) bool{}
	if allowed.Required {
		found["Member must not be null"] = func(field reflect.Value) bool { return field.Kind() != reflect.Bool && field.Kind() != reflect.Int32 }
	}
	if allowed.Min != nil && *allowed.Min >= 1 {
		found["greater than or equal to"] = either(text(strings.Repeat("a", int(*allowed.Min)-1)), list(int(*allowed.Min)-1))
	}
	if allowed.Max != nil && *allowed.Max < 1e5 {
		found["less than or equal to"] = either(text(strings.Repeat("a", int(*allowed.Max)+1)), list(int(*allowed.Max)+1))
	}
	if allowed.Pattern != nil {
		found["regular expression"] = text("\x01 \n^:*")
	}
	return found
}

func either(a, b func(reflect.Value) bool) func(reflect.Value) bool {
	return func(field reflect.Value) bool { return a(field) || b(field) }
}

// An echo is a service that records the input of an operation and returns a
// given output.
type echo struct{ input, output reflect.Value }

// operationsOf returns an echoing operation for every method of an SDK client
// whose types the codecs support.
func (e *echo) operationsOf(client reflect.Value) map[string]Operation {
	operations := map[string]Operation{}
	for i := range client.NumMethod() {
		m := client.Method(i).Type()
		if m.NumIn() != 3 || !m.IsVariadic() || !portable(m.In(1), 0) || !portable(m.Out(0), 0) {
			continue // not an operation, or one with a union, a document or an event stream
		}
		name := client.Type().Method(i).Name
		if name == "AssumeRoleWithSAML" || name == "AssumeRoleWithWebIdentity" {
			continue // the SDK does not sign these two
		}
		operations[name] = Operation{Name: name, input: m.In(1).Elem(), call: e.answer}
	}
	return operations
}

func (e *echo) answer(_ context.Context, input any) (any, error) {
	e.input = reflect.ValueOf(input)
	if e.output.IsNil() {
		return reflect.New(e.output.Type().Elem()).Interface(), nil
	}
	return e.output.Interface(), nil
}

func (e *echo) roundTrip(t *testing.T, method reflect.Value) {
	input, output := reflect.New(method.Type().In(1).Elem()), reflect.New(method.Type().Out(0).Elem())
	fill(input.Elem(), 0)
	fill(output.Elem(), 0)
	e.input, e.output = reflect.Zero(input.Type()), output
	results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
	if err := results[1].Interface(); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]reflect.Value{"input": {input, e.input}, "output": {output, results[0]}} {
		if diff := cmp.Diff(pair[0].Interface(), pair[1].Interface(), ignoreSerde, cmpopts.IgnoreTypes(middleware.Metadata{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// ignoreSerde excludes the SDK's unexported marker fields from comparisons.
var ignoreSerde = cmp.FilterPath(func(p cmp.Path) bool {
	field, ok := p.Last().(cmp.StructField)
	return ok && field.Name() == "noSmithyDocumentSerde"
}, cmp.Ignore())

const maxFill = 5 // how deep shapes are filled, in structs

// portable reports whether the codecs support the type t.
func portable(t reflect.Type, depth int) bool {
	switch {
	case depth > 2*maxFill || t == timeType || t == reflect.TypeFor[middleware.Metadata]():
		return true
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Chan:
		return false
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
		return portable(t.Elem(), depth+1)
	case t.Kind() != reflect.Struct:
		return true
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "eventStream" || (f.IsExported() && !portable(f.Type, depth+1)) {
			return false
		}
	}
	return true
}

// fill sets every field, so that the test notices a member that is lost.
func fill(v reflect.Value, depth int) {
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)))
		return
	case v.Type() == bytesType:
		v.SetBytes([]byte{0, 1, 0xff})
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("<text> & \"quotes\"\n ü")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1<<31 - 2)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Struct:
		for _, m := range jsonNames.members(v.Type()) {
			fill(v.Field(m.index), depth+1)
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if depth < 2*maxFill {
			fillReference(v, depth+1)
		}
	}
}

func fillReference(v reflect.Value, depth int) {
	element := reflect.New(v.Type().Elem()).Elem()
	fill(element, depth)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(element.Addr())
	case reflect.Slice:
		v.Set(reflect.Append(v, element))
		if depth < maxFill { // two of everything, but for what is deep, which would grow without bounds
			v.Set(reflect.Append(v, element))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a.key").Convert(v.Type().Key()), element)
		v.SetMapIndex(reflect.ValueOf("ünd <b>").Convert(v.Type().Key()), element)
	}
}

// front starts a handler without services, and returns it with a config that
// points the SDK at it.
func front(t *testing.T) (*Handler, aws.Config) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	identities, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := identities.RootCredentials()
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Region: "us-east-1", IAM: identities})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return h, aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), HTTPClient: NewHTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	}
}
